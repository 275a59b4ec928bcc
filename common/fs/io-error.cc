#include "common/fs/io-error.h"

#include <errno.h>
#include <kj/debug.h>
#include <string.h>

#include <algorithm>
#include <iterator>

namespace pibrain {

namespace {

// Stands for the exception's file, and its line is the error. KJ marks a peer's with "(remote)".
constexpr char ERRNO_TAG[] = "(errno)";

}  // namespace

proto::Reason reasonOf(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return proto::Reason::DENIED;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:  // openat2(2): it was moved out of the tree in the meantime
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
                    ERRNO_TAG, error, kj::str(what.c_str(), ": ", strerror(error))));
  KJ_UNREACHABLE;
}

void throwFileError(const std::string& text) {
  kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, ERRNO_TAG, 0,
                                        kj::heapString(text.data(), text.size())));
  KJ_UNREACHABLE;
}

std::optional<int> errnoOf(const kj::Exception& exception) {
  if (strcmp(exception.getFile(), ERRNO_TAG) != 0) return std::nullopt;
  return exception.getLine();
}

bool isDiskFull(const kj::Exception& exception) {
  auto error = errnoOf(exception);
  return error == ENOSPC || error == EDQUOT;
}

}  // namespace pibrain
