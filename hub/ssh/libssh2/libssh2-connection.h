#pragma once

#include <kj/async-io.h>

#include <string>

#include "hub/link/connection.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/identities.h"

namespace pibrain {

// As connectSsh(), by libssh2; `known` is what knownTargetOf() says. With `mayDefer`, throws
// NeedsOpenssh (hub/ssh/libssh2/needs-openssh.h) when it comes to something that libssh2 cannot do.
kj::Own<Connection> connectLibssh2(const SshTarget& target, const KnownTarget& known,
                                   const std::string& command, const ConnectOptions& options,
                                   const Identities& identities, bool mayDefer,
                                   kj::AsyncIoContext& io);

}  // namespace pibrain
