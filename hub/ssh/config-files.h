#pragma once

#include <string>

namespace pibrain {

// What the ssh configuration is made of: its files, those that they include, and when each was
// changed last, as one text. While it is the same, so is what `ssh -G` says of a host. Empty: that
// cannot be told from files, since a command decides (Match exec), or a name that only ssh expands.
// `configFile`: as for `ssh -F`; empty: ssh's own.
std::string sshConfigState(const std::string& configFile);

}  // namespace pibrain
