#include "hub/link/step.h"

namespace pibrain {

const char* nameOf(SshStep step) {
  switch (step) {
    case SshStep::NAME:
      return "name";
    case SshStep::TCP:
      return "connection";
    case SshStep::GREETING:
      return "greeting";
    case SshStep::KEY_EXCHANGE:
      return "key exchange";
    case SshStep::HOST_KEY:
      return "host key";
    case SshStep::LOGIN:
      return "login";
    case SshStep::COMMAND:
      return "command";
  }
  return "";
}

}  // namespace pibrain
