#pragma once
// The paragraphs (P8) for what goes wrong on the way to a login, whichever program spoke SSH.

#include <optional>
#include <string>
#include <vector>

#include "hub/ssh/known-hosts.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

std::string unresolvedName(const SshTarget& target, const std::string& why);
std::string connectionRefused(const SshTarget& target);
std::string noAnswer(const SshTarget& target);
std::string unreachable(const SshTarget& target, const std::string& why);

// `shown` is the fingerprint and type of the key that the host shows; empty: not known.
std::string unknownHostKey(const SshTarget& target, bool hasCertAuthority,
                           const std::string& shown);
// `unread` is a file, and why it cannot be read.
std::string unreadKnownHosts(const SshTarget& target, const std::string& unread,
                             const std::string& shown);
std::string changedHostKey(const SshTarget& target, const KnownHost& known,
                           const std::string& shown);
std::string revokedHostKey(const SshTarget& target, const std::string& shown,
                           const std::string& where);

struct Denial {
  std::vector<std::string> tried;      // each key and what became of it, safe to print
  std::vector<std::string> encrypted;  // identity files that want a passphrase
  bool forAgent = true;                // the key is for pi-brain-agent, not for rsync
};
std::string permissionDenied(const SshTarget& target, const Denial& denial);

// What OpenSSH's client meant by `errors`, its standard error, when it failed before it had logged
// in. `denial` is what is known of the keys.
std::string explainOpenssh(const SshTarget& target, const std::string& errors,
                           const Denial& denial);
// The same, if `errors` is about one of the usual things; what it wrote may not be ssh's.
std::optional<std::string> explainUsualFailure(const SshTarget& target, const std::string& errors,
                                               const Denial& denial);

// The last lines that a program wrote, on one line and safe to print.
std::string ownWords(const std::string& errors);

// "ssh …" as a person would type it to get there.
std::string sshInvocation(const SshTarget& target);

// How to add the host's key to known_hosts: "add it with '…'", for the end of a sentence.
std::string addingCommand(const SshTarget& target);

}  // namespace pibrain
