#pragma once

#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// What `ssh -G` goes by: what it is asked, the files of the configuration, those that they include,
// and when each was changed last, as one text. While it is the same, so is the answer. Empty: that
// cannot be told from these, since something else decides: a command (Match exec), the network, the
// name server, or a name that only ssh expands.
std::string sshConfigState(const SshRequest& request);

// A pipe, say, that the configuration names as a part of itself: ssh would wait for it. Empty:
// there is none. `configFile`: as for `ssh -F`; empty: ssh's own.
std::string noFileInSshConfig(const std::string& configFile);

// Whether there is a configuration that says anything.
bool hasSshConfig(const std::string& configFile);

}  // namespace pibrain
