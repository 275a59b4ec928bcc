#pragma once

#include <kj/async-io.h>

#include <string>

#include "hub/link/connection.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/known-hosts.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Runs `command` at the target through `ssh`, unattended and without forwarding. Returns when it
// starts. Throws Failure. `known` and `authFailure`: what is known of the host and the keys, for
// messages.
kj::Own<Connection> startOpenssh(const SshTarget& target, const KnownTarget& known,
                                 const std::string& command, const SshOptions& options,
                                 const AuthFailure& authFailure, kj::AsyncIoContext& io);

// Returns whether ssh reported that its connection was lost.
bool wasCut(const std::string& errors);

}  // namespace pibrain
