#pragma once
// Expands "~", tokens and variables as ssh does (ssh_config(5)).

#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// Returns this user's name from the user database, or else $USER.
std::string localUser();
// Returns the home directory that ssh uses: from the user database, not $HOME.
std::string sshHome();

// Expands a file name; `ssh -G` leaves "~", tokens and variables in some. A name with an unknown
// token stays unchanged, and is noted in `target` as something for OpenSSH.
std::string expandFile(const std::string& setting, const std::string& name, SshTarget& target);

// Returns the text of a ProxyCommand or ProxyJump with its tokens (%%, %h, %n, %p, %r) replaced.
std::string expandProxyTokens(const std::string& text, const SshTarget& target);

}  // namespace pibrain
