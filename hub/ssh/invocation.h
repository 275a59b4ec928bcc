#pragma once
// How a person gets to a target with ssh.

#include <string>

#include "hub/base/failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// "HOST port PORT", for a message.
std::string addressOf(const SshTarget& target);

// "ssh …" as a person would type it to get there as pi-brain does.
std::string sshInvocation(const SshTarget& target);
std::string sshInvocation(const SshRequest& request);

// How to add the host's key to known_hosts. `text` introduces it: "Add it".
Fix addHostKey(const SshTarget& target, const std::string& text);

}  // namespace pibrain
