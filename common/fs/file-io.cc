#include "common/fs/file-io.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

namespace pibrain {

namespace {

constexpr int64_t SECOND = 1'000'000'000;  // in nanoseconds

struct timespec timespecOf(int64_t nanos) {
  int64_t seconds = nanos / SECOND;
  int64_t rest = nanos % SECOND;
  if (rest < 0) {
    --seconds;
    rest += SECOND;
  }
  return {seconds, rest};
}

}  // namespace

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

void writeSparsely(int fd, kj::ArrayPtr<const kj::byte> bytes, uint64_t offset) {
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
  if (written < end) writeAllAt(fd, bytes.slice(written, end), offset + written);
}

void extendTo(int fd, uint64_t length) {
  struct stat st;
  if (fstat(fd, &st) == 0 && uint64_t(st.st_size) >= length) return;
  if (ftruncate(fd, off_t(length)) != 0) throwErrno(errno, "cannot write");
}

uint64_t copyBytes(int from, uint64_t length, int to, uint64_t at) {
  auto buffer = kj::heapArray<kj::byte>(256 * 1024);
  uint64_t done = 0;
  while (done < length) {
    auto want = buffer.slice(0, size_t(kj::min(uint64_t(buffer.size()), length - done)));
    size_t n = readAt(from, want, done);
    if (n > 0) writeSparsely(to, want.slice(0, n), at + done);
    done += n;
    if (n < want.size()) break;
  }
  extendTo(to, at + done);
  return done;
}

bool shareBeginning(int from, uint64_t length, int to) {
  struct stat st;
  if (length == 0 || ioctl(to, FICLONE, from) != 0) return false;
  bool enough = fstat(to, &st) == 0 && uint64_t(st.st_size) >= length;
  if (ftruncate(to, enough ? off_t(length) : 0) != 0) throwErrno(errno, "cannot write");
  return enough;
}

void copyBeginning(int from, uint64_t length, int to) {
  if (shareBeginning(from, length, to)) return;
  KJ_REQUIRE(copyBytes(from, length, to, 0) == length,
             "it was cut short by someone else during the run");
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
  // On the stack: a heap would hand out fresh pages for each file, which cost more than the hash.
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

int64_t mtimeOf(const struct stat& st) {
  auto nanos = __int128(st.st_mtim.tv_sec) * SECOND + st.st_mtim.tv_nsec;
  return int64_t(std::clamp<__int128>(nanos, INT64_MIN, INT64_MAX));
}

int renameToNew(int fromDir, const char* from, int toDir, const char* to) {
  if (renameat2(fromDir, from, toDir, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL) return errno;
  struct stat st;
  if (fstatat(toDir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
  if (errno != ENOENT) return errno;
  return renameat(fromDir, from, toDir, to) == 0 ? 0 : errno;
}

void setMtime(int fd, int64_t nanos) {
  struct timespec times[2] = {timespecOf(nanos), timespecOf(nanos)};
  if (futimens(fd, times) != 0) throwErrno(errno, "cannot set a file's time");
}

void setMtimeOf(int dir, const std::string& name, int64_t nanos) {
  struct timespec times[2] = {timespecOf(nanos), timespecOf(nanos)};
  if (utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    throwErrno(errno, "cannot set a file's time");
  }
}

int64_t wallClockNanos() {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t(now.tv_sec) * SECOND + now.tv_nsec;
}

proto::Reason reasonOf(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return proto::Reason::DENIED;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:  // openat2(2): it was moved out of the tree meanwhile
      return proto::Reason::VANISHED;
    default:
      return proto::Reason::IO_ERROR;
  }
}

void throwErrno(int error, const std::string& what) {
  bool exhausted =
      error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE || error == ENOMEM;
  kj::throwFatalException(
      kj::Exception(exhausted ? kj::Exception::Type::OVERLOADED : kj::Exception::Type::FAILED,
                    __FILE__, __LINE__, kj::str(what.c_str(), ": ", strerror(error))));
  KJ_UNREACHABLE;
}

}  // namespace pibrain
