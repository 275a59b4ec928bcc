#pragma once

#include "hub/link/access.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Tries it by logins of its own, each part of them within ConnectTimeout. `options`: what the
// server said of the key's line. UNKNOWN where neither tells: ssh asks for no answer about its
// agent, and would leave the spoke a cookie for X11.
Grant tryByOpenssh(const SshTarget& target, Access access,
                   const std::optional<KeyOptions>& options);

}  // namespace pibrain
