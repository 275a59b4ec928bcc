#pragma once

#include <kj/async-io.h>

#include <string>

#include "hub/link/connection.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/identities.h"

namespace pibrain {

// Like connectSsh(), with libssh2. `known`: the result of knownTargetOf(). With `allowFallback`,
// throws FallBackToOpenssh (hub/ssh/libssh2/fall-back-to-openssh.h) for anything that libssh2
// cannot do.
kj::Own<Connection> connectLibssh2(const SshTarget& target, const KnownTarget& known,
                                   const std::string& command, const SshOptions& options,
                                   const Identities& identities, bool allowFallback,
                                   kj::AsyncIoContext& io);

}  // namespace pibrain
