#pragma once

#include <kj/async-io.h>

#include <string>

#include "hub/link/connection.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Called once, before threads start.
void initSsh();

std::string libssh2Version();

// Connects, verifies the host key before sending anything to the host, logs in with a key, and runs
// `command`. If the server turns the connection away, tries twice more after a pause. With AUTO,
// OpenSSH's client does what libssh2 cannot. Throws Failure.
kj::Own<Connection> connectSsh(SshTarget target, const std::string& command,
                               const SshOptions& options, kj::AsyncIoContext& io);

}  // namespace pibrain
