#pragma once

#include <string>

namespace pibrain {

// Thrown where a server ended the connection before its greeting: another try may do.
struct TurnedAway {
  std::string message;  // if it does not
};

}  // namespace pibrain
