#pragma once

#include "hub/ssh/host-trust.h"
#include "hub/ssh/target.h"

typedef struct _LIBSSH2_SESSION LIBSSH2_SESSION;

namespace pibrain {

// Sets the algorithms that the session may negotiate: those that both the target's ssh
// configuration and libssh2 have; for host keys only types that known_hosts has for the host, or
// those of its standard port first. If none is left for some purpose, throws FallBackToOpenssh with
// `allowFallback`, else Failure.
void negotiableAlgorithms(LIBSSH2_SESSION* session, const SshTarget& target,
                          const KnownTarget& known, bool allowFallback);

}  // namespace pibrain
