#pragma once

#include <exception>
#include <string>
#include <utility>

#include "hub/ssh/auth-failure.h"

namespace pibrain {

// Thrown when only OpenSSH's client can go on, for example with the next key or with other
// algorithms.
struct FallBackToOpenssh : std::exception {
  FallBackToOpenssh(std::string reason, AuthFailure before)
      : why(std::move(reason)), authFailure(std::move(before)) {}

  std::string why;
  AuthFailure authFailure;  // what was tried before
};

inline constexpr char CERT_AUTHORITY_ONLY[] =
    "known_hosts has a @cert-authority for the host, and libssh2 cannot verify certificates";

}  // namespace pibrain
