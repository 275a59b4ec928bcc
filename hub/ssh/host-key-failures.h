#pragma once
// The failures (P8) of a host whose key is not trusted.

#include <string>

#include "hub/base/failure.h"
#include "hub/ssh/known-hosts.h"
#include "hub/ssh/target.h"

namespace pibrain {

Failure unknownHostKey(const SshTarget& target, bool hasCertAuthority, const ShownKey& shown);
// `unread`: a file, and why it cannot be read.
Failure unreadKnownHosts(const SshTarget& target, const std::string& unread, const ShownKey& shown);
Failure changedHostKey(const SshTarget& target, const KnownHost& known, const ShownKey& shown);
Failure revokedHostKey(const SshTarget& target, const ShownKey& shown, const std::string& where);

// The host's certificate is not valid. `why`: the reason.
Failure invalidCertificate(const SshTarget& target, const std::string& why);

}  // namespace pibrain
