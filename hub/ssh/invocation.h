#pragma once
// How a person connects to a target with ssh.

#include <string>

#include "hub/base/failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Returns "HOST port PORT" for messages.
std::string addressOf(const SshTarget& target);

// Returns the command "ssh …" with which a person connects as pi-brain does.
std::string sshInvocation(const SshTarget& target);
std::string sshInvocation(const SshRequest& request);

// Returns the name of a host key's type for ssh-keyscan and in /etc/ssh: "rsa", "ecdsa" or
// "ed25519".
std::string keyFamily(const std::string& type);

// Returns the fix that adds the host's key to known_hosts. `text` introduces it: "Add it". `type`:
// of the key that the host has shown; empty: unknown.
Fix addHostKey(const SshTarget& target, const std::string& text, const std::string& type = "");

}  // namespace pibrain
