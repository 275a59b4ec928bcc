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

// Runs `command` at the target through `ssh`, with nobody to ask and nothing forwarded. Returns
// when it begins. Throws Failure; `known` is what is known of the host, and
// `authFailure` of the keys, for what there is to say.
kj::Own<Connection> startOpenssh(const SshTarget& target, const KnownTarget& known,
                                 const std::string& command, const SshOptions& options,
                                 const AuthFailure& authFailure, kj::AsyncIoContext& io);

// Whether ssh, as it ended, says that its connection did.
bool wasCut(const std::string& errors);

}  // namespace pibrain
