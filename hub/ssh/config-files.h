#pragma once

#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// Returns everything that the answer of `ssh -G` depends on as one text: the request, and the files
// of the configuration with their includes and states. While the text is the same, so is the
// answer. Empty if the answer depends on something else: a command (Match exec), the network, the
// name server, or a name that only ssh expands.
std::string sshConfigState(const SshRequest& request);

// Returns a file of the configuration that is a pipe or the like, on which ssh would block. Empty:
// none. `configFile`: as for `ssh -F`; empty: ssh's own.
std::string noFileInSshConfig(const std::string& configFile);

// Returns whether there is a configuration that is not empty.
bool hasSshConfig(const std::string& configFile);

}  // namespace pibrain
