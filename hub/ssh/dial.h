#pragma once

#include <kj/io.h>

#include "hub/ssh/resolve.h"

namespace pibrain {

// Opens a TCP connection to the target, trying each of its addresses, within its connectTimeout.
// The socket does not block, sends small packets at once, and gives a dead peer up after
// `timeoutSeconds`. Throws Failure.
kj::AutoCloseFd dial(const SshTarget& target, uint32_t timeoutSeconds);

}  // namespace pibrain
