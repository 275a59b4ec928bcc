#pragma once

#include <kj/io.h>

#include "hub/ssh/connect.h"

namespace pibrain {

// Opens a TCP connection to the target, trying each of its addresses, within its connectTimeout.
// The socket does not block, sends small packets at once, and gives a dead peer up after
// `timeoutSeconds`. `passed` hears of the steps NAME and TCP. Throws Failure.
kj::AutoCloseFd dial(const SshTarget& target, uint32_t timeoutSeconds,
                     const std::function<void(SshStep, std::string)>& passed);

}  // namespace pibrain
