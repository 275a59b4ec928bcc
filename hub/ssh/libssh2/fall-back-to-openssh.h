#pragma once

#include <exception>
#include <string>
#include <utility>

#include "hub/ssh/auth-failure.h"

namespace pibrain {

// Thrown: what comes next is for OpenSSH's client alone, be it the next key in turn or the choice
// of methods.
struct FallBackToOpenssh : std::exception {
  FallBackToOpenssh(std::string reason, AuthFailure before)
      : why(std::move(reason)), authFailure(std::move(before)) {}

  std::string why;
  AuthFailure authFailure;  // what was tried before
};

inline constexpr char CERT_AUTHORITY_ONLY[] =
    "known_hosts vouches for the host by a @cert-authority, that is, a certificate";

}  // namespace pibrain
