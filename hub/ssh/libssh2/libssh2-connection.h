#pragma once

#include <kj/async-io.h>

#include <string>

#include "hub/link/connection.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/identities.h"

namespace pibrain {

// As connectSsh(), by libssh2; `known` is what knownTargetOf() says. With `allowFallback`, throws
// FallBackToOpenssh (hub/ssh/libssh2/fall-back-to-openssh.h) when it comes to something that
// libssh2 cannot do.
kj::Own<Connection> connectLibssh2(const SshTarget& target, const KnownTarget& known,
                                   const std::string& command, const SshOptions& options,
                                   const Identities& identities, bool allowFallback,
                                   kj::AsyncIoContext& io);

}  // namespace pibrain
