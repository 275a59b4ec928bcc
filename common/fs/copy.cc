#include "common/fs/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/array.h>
#include <kj/debug.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/fs/io-error.h"

namespace pibrain {

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

}  // namespace pibrain
