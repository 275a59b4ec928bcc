#include "hub/base/reason.h"

namespace pibrain {

const char* describe(proto::Reason reason) {
  switch (reason) {
    case proto::Reason::VANISHED:
      return "it is gone";
    case proto::Reason::DENIED:
      return "permission denied on the spoke";
    case proto::Reason::NOT_REGULAR:
      return "it is no longer a regular file";
    case proto::Reason::CHANGING:
      return "it is being rewritten";
    case proto::Reason::UNFINISHED_LINE:
      return "its first line is still being written";
    case proto::Reason::TOO_DEEP:
      return "it is nested too deep";
    case proto::Reason::TOO_MANY:
      return "there are too many files";
    case proto::Reason::IO_ERROR:
      return "reading it failed on the spoke";
    case proto::Reason::NAME_TOO_LONG:
      return "its name is longer than 255 bytes, the hub's limit";
    case proto::Reason::BAD_REQUEST:
      return "the agent did not understand the request";
  }
  return "the agent gave a reason that this version of the hub does not know";
}

}  // namespace pibrain
