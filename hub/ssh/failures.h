#pragma once
// The paragraphs (P8) for what goes wrong on the way to a login, whichever program spoke SSH.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/ssh/known-hosts.h"
#include "hub/ssh/resolve.h"
#include "hub/ssh/step.h"

namespace pibrain {

std::string unresolvedName(const SshTarget& target, const std::string& why);
std::string connectionRefused(const SshTarget& target);
std::string noAnswer(const SshTarget& target);
std::string unreachable(const SshTarget& target, const std::string& why);

// A step that was not done within ConnectTimeout.
std::string tookTooLong(const SshTarget& target, SshStep step);
// The connection ended in that step, after the server's greeting.
std::string brokeOff(const SshTarget& target, SshStep step, const std::string& why);
// What the server sent in place of a greeting is that of another service.
std::string notSsh(const SshTarget& target, std::string_view said);
// What both sides can do (key exchange, ciphers, …) has nothing in common.
std::string nothingInCommon(const SshTarget& target, const std::string& said);

// The server ended the connection before its greeting, after it had sent `said`.
std::string turnedAway(const SshTarget& target, std::string_view said);
// Whether that means that it turns connections away, which may be over a moment later.
bool turnsAway(std::string_view said);

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

// What is known of the keys with which nobody was let in. All of it is safe to print but the paths.
struct Denial {
  std::vector<std::string> tried;      // each key and what became of it
  std::vector<std::string> encrypted;  // paths of identity files that want a passphrase
  std::string notSigned;               // a key that would do, but whose agent did not sign
  std::string wanted;    // what the spoke wants besides a key that it accepted: "password"
  bool forAgent = true;  // the key is for pi-brain-agent, not for rsync
};
std::string permissionDenied(const SshTarget& target, const Denial& denial);

// What OpenSSH's client meant by `errors`, its standard error, when it failed before it had logged
// in. `denial` is what is known of the keys.
std::string explainOpenssh(const SshTarget& target, const std::string& errors,
                           const Denial& denial);
// The same, if `errors` is about one of the usual things; what it wrote may not be ssh's.
std::optional<std::string> explainUsualFailure(const SshTarget& target, const std::string& errors,
                                               const Denial& denial);

// What the server sent in place of a greeting before it ended the connection, by the same errors:
// the words themselves if ssh ran with LogLevel DEBUG1, or else none. nullopt: it was not that.
std::optional<std::string> insteadOfGreeting(const SshTarget& target, const std::string& errors);

// Whether this line is one of those in which ssh, with LogLevel DEBUG1, tells each of its steps.
bool isDebugMessage(const std::string& line);

// The last lines that a program wrote, on one line and safe to print; ssh's debug messages are left
// out.
std::string ownWords(const std::string& errors);

// "ssh …" as a person would type it to get there.
std::string sshInvocation(const SshTarget& target);

// How to add the host's key to known_hosts: "add it with '…'", for the end of a sentence.
std::string addingCommand(const SshTarget& target);

}  // namespace pibrain
