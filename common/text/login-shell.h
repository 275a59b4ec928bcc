#pragma once
// Words of a command that sshd passes to a login shell. sh, csh, fish, zsh and nu have no common
// way to quote, so such a command consists of words that need no quotes in any of them.

#include <string>
#include <string_view>

namespace pibrain {

// Returns whether every shell takes the word literally: letters, digits and _ . / , @ % + : = -,
// and none of the last seven at its beginning.
bool isPlainWord(std::string_view word);

// Returns the agent's option --root for this directory. A plain path, or "~/" and a plain path, is
// written literally, which agents of every version understand; any other as "bytes:…",
// percent-encoded.
std::string rootOption(std::string_view root);

// Returns the agent's option --exclude for this pattern, encoded in the same way.
std::string excludeOption(std::string_view pattern);

// Returns `program` as a command for every shell: the path itself if it is a plain word, or "~/…"
// if that is plain and the path is beneath `home`, which all shells put in place of "~". Empty if
// neither is possible, for example because a path outside the home contains a space.
std::string commandFor(const std::string& program, const std::string& home);

}  // namespace pibrain
