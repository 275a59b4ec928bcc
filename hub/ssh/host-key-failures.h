#pragma once
// The failures (P8) of a host whose key is not trusted.

#include <string>

#include "hub/base/failure.h"
#include "hub/ssh/known-hosts.h"
#include "hub/ssh/target.h"

namespace pibrain {

// `shown`: fingerprint and type of the key that the host shows; empty: unknown.
Failure unknownHostKey(const SshTarget& target, bool hasCertAuthority, const std::string& shown);
// `unread`: a file, and why it cannot be read.
Failure unreadKnownHosts(const SshTarget& target, const std::string& unread,
                         const std::string& shown);
Failure changedHostKey(const SshTarget& target, const KnownHost& known, const std::string& shown);
Failure revokedHostKey(const SshTarget& target, const std::string& shown, const std::string& where);

// The host's certificate is not valid. `why`: the reason.
Failure invalidCertificate(const SshTarget& target, const std::string& why);

}  // namespace pibrain
