#pragma once

#include <string>

#include "hub/ssh/failures.h"

namespace pibrain {

// Thrown: what comes next is for OpenSSH's client alone, be it the next key in turn or the choice
// of methods.
struct NeedsOpenssh {
  std::string why;
  Denial denial;  // what was tried before
};

inline constexpr char VOUCHED[] =
    "known_hosts vouches for the host by a @cert-authority, that is, a certificate";

}  // namespace pibrain
