#include "common/fs/file-io.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "common/fs/io-error.h"

namespace pibrain {

size_t readAt(int fd, kj::ArrayPtr<kj::byte> buffer, uint64_t offset) {
  size_t done = 0;
  while (done < buffer.size()) {
    ssize_t n = pread(fd, buffer.begin() + done, buffer.size() - done, off_t(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throwErrno(errno, "cannot read");
    if (n == 0) break;
    done += size_t(n);
  }
  return done;
}

void writeAll(int fd, kj::ArrayPtr<const kj::byte> bytes) {
  while (bytes.size() > 0) {
    ssize_t n = write(fd, bytes.begin(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throwErrno(errno, "cannot write");
    bytes = bytes.slice(size_t(n), bytes.size());
  }
}

void writeAllAt(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset) {
  while (bytes.size() > 0) {
    ssize_t n = pwrite(fd, bytes.begin(), bytes.size(), off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throwErrno(errno, "cannot write");
    offset += size_t(n);
    bytes = bytes.slice(size_t(n), bytes.size());
  }
}

bool writeSparsely(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset) {
  constexpr size_t BLOCK = 4096;
  auto isZero = [](kj::ArrayPtr<const kj::byte> block) {
    return block[0] == 0 && memcmp(block.begin(), block.begin() + 1, block.size() - 1) == 0;
  };
  size_t written = 0, end = 0;
  while (end < bytes.size()) {
    size_t next = kj::min(bytes.size(), end + BLOCK - (offset + end) % BLOCK);
    if (isZero(bytes.slice(end, next))) {
      if (written < end) writeAllAt(fd, bytes.slice(written, end), offset + written);
      written = next;
    }
    end = next;
  }
  if (written == end) return false;
  writeAllAt(fd, bytes.slice(written, end), offset + written);
  return true;
}

void extendTo(int fd, uint64_t length) {
  struct stat st;
  if (fstat(fd, &st) == 0 && uint64_t(st.st_size) >= length) return;
  if (ftruncate(fd, off_t(length)) != 0) throwErrno(errno, "cannot write");
}

bool syncfsReaches(int fd) {
  // statfs(2), and <linux/magic.h>: FUSE, CIFS, SMB2, SMB, 9P, VirtualBox's shared folders.
  constexpr uint32_t UNREACHED[] = {0x65735546, 0xff534d42, 0xfe534d42,
                                    0x517b,     0x01021997, 0x786f4256};
  struct statfs fs;
  return fstatfs(fd, &fs) != 0 || std::find(std::begin(UNREACHED), std::end(UNREACHED),
                                            uint32_t(fs.f_type)) == std::end(UNREACHED);
}

uint64_t hashPrefix(int fd, uint64_t size, FileHasher& hasher) {
  // On the stack: a heap would provide fresh pages for each file, which costs more than hashing.
  kj::byte buffer[64 * 1024];
  uint64_t done = 0;
  while (done < size) {
    auto want = kj::arrayPtr(buffer, kj::min(size - done, sizeof(buffer)));
    size_t n = readAt(fd, want, done);
    hasher.update(want.slice(0, n));
    done += n;
    if (n < want.size()) break;
  }
  return done;
}

int renameToNew(int fromDir, const char* from, int toDir, const char* to) {
  if (renameat2(fromDir, from, toDir, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL) return errno;
  struct stat st;
  if (fstatat(toDir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
  if (errno != ENOENT) return errno;
  return renameat(fromDir, from, toDir, to) == 0 ? 0 : errno;
}

}  // namespace pibrain
