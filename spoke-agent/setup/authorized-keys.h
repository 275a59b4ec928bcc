#pragma once

#include <string>
#include <vector>

namespace pibrain {

// The line for ~/.ssh/authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT) that lets the holder
// of `publicKey` (the text of a .pub file) run `agent`, an absolute path, on `root` without what
// the patterns in `exclude` match, and nothing else. `home` is the directory that a login shell calls "~". `from` is a pattern list for
// from="…", or empty. Throws, in words for people, what cannot be put in a line.
std::string authorizedKeysLine(const std::string& publicKey, const std::string& agent,
                               const std::string& home, const std::string& root,
                               const std::vector<std::string>& exclude, const std::string& from);

}  // namespace pibrain
