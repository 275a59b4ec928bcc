#pragma once

#include <string>

namespace pibrain {

// Returns the line for ~/.ssh/authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT) that lets the
// holder of `publicKey` (the text of a .pub file) run `agent`, an absolute path, on `root`, and do
// nothing else. `home` is the directory that a login shell calls "~". `from` is a pattern list for
// from="…", or empty. Throws a message for people if a line cannot hold them.
std::string authorizedKeysLine(const std::string& publicKey, const std::string& agent,
                               const std::string& home, const std::string& root,
                               const std::string& from);

}  // namespace pibrain
