#pragma once

#include <kj/async-io.h>

#include <string>

#include "hub/link/connection.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Once, before threads.
void initSsh();

std::string libssh2Version();

// Connects, checks the host's key before anything is told to it, logs in with a key, and runs
// `command` there. A server that turns the connection away is tried twice more, after a pause; and
// what libssh2 cannot do, with AUTO, OpenSSH's client does. Throws Failure, with cause and cure.
kj::Own<Connection> connectSsh(const SshTarget& target, const std::string& command,
                               const SshOptions& options, kj::AsyncIoContext& io);

}  // namespace pibrain
