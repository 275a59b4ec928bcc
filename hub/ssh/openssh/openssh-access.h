#pragma once

#include "hub/link/access.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Tries the access with separate logins, each step within ConnectTimeout. `options`: those of the
// key's line, as the server reported them. UNKNOWN if neither tells: ssh requests no answer about
// agent forwarding, and X11 forwarding would leave a cookie on the spoke.
Grant tryByOpenssh(const SshTarget& target, Access access,
                   const std::optional<KeyOptions>& options);

}  // namespace pibrain
