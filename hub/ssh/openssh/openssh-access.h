#pragma once

#include "hub/link/access.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

// Tries it by a login of its own, each part of it within ConnectTimeout.
Grant tryByOpenssh(const SshTarget& target, Access access);

}  // namespace pibrain
