#pragma once

#include <string>

#include "hub/ssh/auth-failure.h"

namespace pibrain {

// Thrown: what comes next is for OpenSSH's client alone, be it the next key in turn or the choice
// of methods.
struct FallBackToOpenssh {
  std::string why;
  AuthFailure authFailure;  // what was tried before
};

inline constexpr char CERT_AUTHORITY_ONLY[] =
    "known_hosts vouches for the host by a @cert-authority, that is, a certificate";

}  // namespace pibrain
