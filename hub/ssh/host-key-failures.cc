#include "hub/ssh/host-key-failures.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <vector>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/invocation.h"

namespace pibrain {

namespace {

std::string knownKeys(const KnownHost& known) {
  std::vector<std::string> lines;
  for (auto& key : known.keys) {
    lines.push_back(absl::StrCat(fingerprint(key.blob), " (", key.type, ", ",
                                 escapeForTerminal(key.file), ":", key.line, ")"));
  }
  return lines.empty() ? "another" : absl::StrJoin(lines, ", ");
}

std::string shownName(const SshTarget& target) {
  return escapeForTerminal(knownHostsNameOf(target));
}

// Returns the command that prints the fingerprint of the shown key on the host (sshd_config(5),
// HostKey).
std::string fingerprintCommand(const ShownKey& shown) {
  auto& type = shown.type;
  if (type.empty()) return "cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -";
  return absl::StrCat("ssh-keygen -lf /etc/ssh/ssh_host_", keyFamily(type), "_key.pub");
}

// Returns how to find out whether the shown key is the host's.
Fix compareKeys(const SshTarget& target, const ShownKey& shown) {
  return {absl::StrCat("On ", escapeForTerminal(target.alias),
                       ", print its host key, and compare it with ",
                       shown.fingerprint.empty() ? "the one that ssh shows" : "that"),
          fingerprintCommand(shown)};
}

constexpr char NOT_VERIFIED[] = "host key verification failed: ";

}  // namespace

Failure unknownHostKey(const SshTarget& target, bool hasCertAuthority, const ShownKey& shown) {
  bool known = !shown.fingerprint.empty();
  return Failure(
      FailureId::HOST_KEY_UNKNOWN,
      absl::StrCat(NOT_VERIFIED, shownName(target), " is not in known_hosts"),
      absl::StrCat(known ? absl::StrCat("It shows ", shown.text(), ". ") : "",
                   hasCertAuthority ? "A @cert-authority line matches, which only OpenSSH can "
                                      "verify ('ssh: openssh' in the config). "
                                    : "",
                   "Another machine may be pretending to be this host."),
      {compareKeys(target, shown),
       addHostKey(target, "If they are equal, add the key", shown.type)});
}

Failure unreadKnownHosts(const SshTarget& target, const std::string& unread,
                         const ShownKey& shown) {
  return Failure(FailureId::KNOWN_HOSTS_UNREADABLE,
                 absl::StrCat(NOT_VERIFIED, shownName(target), " shows ", shown.text("a key"),
                              ", but known_hosts cannot be read to check it"),
                 absl::StrCat(withoutFullStop(escapeForTerminal(unread)), "."),
                 {{"Make the file readable, or remove it; until then no new key is trusted", ""}});
}

Failure changedHostKey(const SshTarget& target, const KnownHost& known, const ShownKey& shown) {
  auto file = known.keys.empty() ? "" : absl::StrCat(" -f ", shellQuote(known.keys[0].file));
  return Failure(
      FailureId::HOST_KEY_CHANGED,
      absl::StrCat("HOST KEY CHANGED: ", shownName(target), " shows ", shown.text("another key"),
                   ", but known_hosts has ", knownKeys(known)),
      "Someone may be impersonating the host, or it was reinstalled.",
      {compareKeys(target, shown),
       {"Only if they are equal, remove the old key",
        absl::StrCat("ssh-keygen -R ", shellQuote(knownHostsNameOf(target)),
                     escapeForTerminal(file))},
       addHostKey(target, "Then add the new key", shown.type)});
}

Failure revokedHostKey(const SshTarget& target, const ShownKey& shown, const std::string& where) {
  auto text = shown.text();
  return Failure(FailureId::HOST_KEY_REVOKED,
                 absl::StrCat("HOST KEY REVOKED: the key of ", shownName(target),
                              text.empty() ? "" : ", " + text + ",", " is revoked in ",
                              escapeForTerminal(where)),
                 "",
                 {{"Do not connect; ask the administrator of the machine for its new key", ""}});
}

Failure invalidCertificate(const SshTarget& target, const std::string& why) {
  return Failure(
      FailureId::HOST_CERTIFICATE_INVALID,
      absl::StrCat(NOT_VERIFIED, shownName(target), " shows a host certificate that is not valid: ",
                   withoutFullStop(escapeForTerminal(why))),
      "",
      {{"Ask its authority to sign a new certificate, for this name and the present time; on the "
        "host, 'ssh-keygen -L -f FILE' shows the old one, whose FILE is HostCertificate in its "
        "sshd_config",
        ""}});
}

}  // namespace pibrain
