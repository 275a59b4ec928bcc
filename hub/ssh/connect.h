#pragma once

#include <kj/async-io.h>

#include <memory>
#include <string>

#include "hub/connection.h"
#include "hub/rate-limiter.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

// Once, before threads.
void initSsh();

// Connects with libssh2, checks the host's key against known_hosts before anything else, logs in
// with a key, and runs `command` there. `warn` gets what a person should hear though it went
// well. Throws Failure, with cause and cure.
kj::Own<Connection> connectSsh(const SshTarget& target, const std::string& command,
                               uint32_t timeoutSeconds, std::shared_ptr<RateLimiter> limiter,
                               kj::AsyncIoContext& io, kj::Function<void(std::string)> warn);

}  // namespace pibrain
