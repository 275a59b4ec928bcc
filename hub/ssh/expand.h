#pragma once
// What ssh puts in place of "~", tokens and variables (ssh_config(5)).

#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// This user's name, by the user database, or else $USER.
std::string localUser();
// The home directory as ssh has it: that of the user database, not $HOME.
std::string sshHome();

// A file name as ssh expands it; ssh -G leaves "~", tokens and variables in some. One that
// has a token that is not known is left as it is, and noted in `target` as something for OpenSSH.
std::string expandFile(const std::string& setting, const std::string& name, SshTarget& target);

// The text of a ProxyCommand or ProxyJump with its tokens (%%, %h, %n, %p, %r) replaced.
std::string expandProxyTokens(const std::string& text, const SshTarget& target);

}  // namespace pibrain
