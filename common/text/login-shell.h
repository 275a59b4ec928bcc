#pragma once
// What sshd gives to an account's login shell. sh, csh, fish, zsh and nu agree on no way to quote,
// so what is written for them takes words that need no quotes, whichever shell it is.

#include <string>
#include <string_view>

namespace pibrain {

// Whether every shell takes the word as it is: letters, digits and _ . / , @ % + : = -, of which
// the last seven do not begin it.
bool isPlainWord(std::string_view word);

// The agent's option --root for this directory. A plain one, or "~/" and a plain one, stands in it
// as it is, which agents of every version understand; another as "bytes:…", percent-encoded.
std::string rootOption(std::string_view root);

// The agent's option --exclude for this pattern, in the same way.
std::string excludeOption(std::string_view pattern);

// `program` as a command for every shell: itself, if it is a plain word, or "~/…" if that is plain
// and it lies beneath `home`, which all shells put in the place of "~". Empty: there is no such
// way, for instance since a path outside the home contains a space.
std::string commandFor(const std::string& program, const std::string& home);

}  // namespace pibrain
