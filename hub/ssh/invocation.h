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

// Returns the fix that adds the host's key to known_hosts. `text` introduces it: "Add it".
Fix addHostKey(const SshTarget& target, const std::string& text);

}  // namespace pibrain
