#include "spoke-agent/answers/sent-files.h"

#include <sys/stat.h>

#include "common/fs/file-io.h"

namespace pibrain {

bool SentFile::isSame(int fd) const {
  struct stat st;
  return fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

bool SentFile::stillEndsALine(int fd) const {
  kj::byte last;
  return size == 0 || (readAt(fd, kj::arrayPtr(&last, 1), size - 1) == 1 && last == '\n');
}

SharedSecret SentFiles::share(kj::ArrayPtr<const kj::byte> secret) {
  if (secret_ == nullptr || *secret_ != secret) {
    clear();
    secret_ = std::make_shared<const kj::Array<kj::byte>>(kj::heapArray(secret));
  }
  return secret_;
}

}  // namespace pibrain
