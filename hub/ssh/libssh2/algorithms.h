#pragma once

#include "hub/ssh/host-trust.h"
#include "hub/ssh/target.h"

typedef struct _LIBSSH2_SESSION LIBSSH2_SESSION;

namespace pibrain {

// Sets what the session may negotiate: what both the target's ssh configuration and libssh2 have,
// host keys only of types that known_hosts has for the host, or for its standard port first. If
// that leaves nothing of some sort, throws FallBackToOpenssh with `allowFallback`, and Failure
// otherwise.
void negotiableAlgorithms(LIBSSH2_SESSION* session, const SshTarget& target,
                          const KnownTarget& known, bool allowFallback);

}  // namespace pibrain
