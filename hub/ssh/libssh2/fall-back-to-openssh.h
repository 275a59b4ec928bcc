#pragma once

#include <string>
#include <utility>

#include "hub/base/failure.h"
#include "hub/ssh/auth-failure.h"

namespace pibrain {

// Thrown when only OpenSSH's client can go on, for example with the next key or with other
// algorithms. The failure is the reason.
class FallBackToOpenssh : public Failure {
 public:
  FallBackToOpenssh(std::string why, AuthFailure before)
      : Failure(FailureId::SSH_CONFIG_UNSUPPORTED, std::move(why)),
        authFailure(std::move(before)) {}

  AuthFailure authFailure;  // what was tried before
};

inline constexpr char CERT_AUTHORITY_ONLY[] =
    "known_hosts has a @cert-authority for the host, and libssh2 cannot verify certificates";

}  // namespace pibrain
