#include "hub/ssh/failures.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include "common/text.h"
#include "hub/ssh/host-trust.h"

namespace pibrain {

namespace {

std::string where(const SshTarget& target) {
  return absl::StrCat(escapeForTerminal(target.host), " port ", target.port);
}

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

// "SHA256:…" in a text, or empty.
std::string fingerprintIn(const std::string& text) {
  auto start = text.find("SHA256:");
  if (start == std::string::npos) return "";
  return text.substr(start, text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                                   "uvwxyz0123456789+/",
                                                   start + 7) -
                                start);
}

std::string explainKeyProblem(const SshTarget& target, const std::string& errors) {
  auto known = knownTargetOf(target);
  // The list itself, not the key: "Error checking host key … in revoked keys file …".
  if (absl::StrContains(errors, "in revoked keys file")) {
    return "RevokedHostKeys names a file that ssh cannot use, and so trusts no host key; mend the "
           "file, or remove the setting";
  }
  if (absl::StrContains(errors, "IDENTIFICATION HAS CHANGED")) {
    return changedHostKey(target, known.own, fingerprintIn(errors));
  }
  if (absl::StrContains(errors, "revoked")) {
    return revokedHostKey(target, fingerprintIn(errors), "known_hosts or RevokedHostKeys");
  }
  if (!known.own.unread.empty()) {
    return unreadKnownHosts(target, known.own.unread[0], fingerprintIn(errors));
  }
  return unknownHostKey(target, known.hasCertAuthority(), fingerprintIn(errors));
}

}  // namespace

std::string unresolvedName(const SshTarget& target, const std::string& why) {
  auto host = escapeForTerminal(target.host);
  return absl::StrCat("the host name ", host, " cannot be resolved: ", why,
                      ". Check the spelling in 'source', or add the host to ~/.ssh/config with a "
                      "HostName that works; 'getent hosts ",
                      host, "' shows what the system knows.");
}

std::string connectionRefused(const SshTarget& target) {
  return absl::StrCat("connection refused by ", where(target),
                      ". The machine is up, but no SSH server listens there. On the spoke, start "
                      "it with 'sudo systemctl start ssh' (or sshd), and check the port with '",
                      sshInvocation(target), " -G | grep ^port'.");
}

std::string noAnswer(const SshTarget& target) {
  return absl::StrCat("no answer from ", where(target), " within ", target.connectTimeout,
                      " s. The machine is off, asleep or behind a firewall. Try 'ping ",
                      escapeForTerminal(target.host),
                      "' and, on the spoke, 'sudo ufw status' or 'sudo firewall-cmd --list-all'.");
}

std::string unreachable(const SshTarget& target, const std::string& why) {
  return absl::StrCat("cannot reach ", where(target), ": ", why,
                      ". Check the network and the host name with '", sshInvocation(target),
                      " -v true'.");
}

std::string unknownHostKey(const SshTarget& target, bool hasCertAuthority,
                           const std::string& shown) {
  return absl::StrCat(
      "host key verification failed: ", shownName(target), " is not in known_hosts. ",
      shown.empty() ? "" : absl::StrCat("It shows ", shown, ". "),
      hasCertAuthority ? "A @cert-authority line matches; libssh2 cannot verify it, 'ssh: "
                         "openssh' in the config can. "
                       : "",
      "Compare ", shown.empty() ? "the key that you get" : "that",
      " with 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' on the spoke; if they agree, ",
      addingCommand(target), ".");
}

std::string unreadKnownHosts(const SshTarget& target, const std::string& unread,
                             const std::string& shown) {
  return absl::StrCat(
      "host key verification failed: ", shownName(target), " shows ",
      shown.empty() ? "a key" : shown,
      ", and whether that is in known_hosts is not known: ", escapeForTerminal(unread),
      ". Until the file can be read, or is removed, no new key is trusted.");
}

std::string changedHostKey(const SshTarget& target, const KnownHost& known,
                           const std::string& shown) {
  auto file = known.keys.empty() ? "" : absl::StrCat(" -f ", shellQuote(known.keys[0].file));
  return absl::StrCat("HOST KEY CHANGED: ", shownName(target), " shows ",
                      shown.empty() ? "another key" : shown, " but known_hosts has ",
                      knownKeys(known),
                      ". Someone may be impersonating it, or it was reinstalled. If you are sure "
                      "that it was, remove the old key with 'ssh-keygen -R ",
                      shellQuote(knownHostsNameOf(target)), escapeForTerminal(file),
                      "'; for the new one, ", addingCommand(target), ".");
}

std::string revokedHostKey(const SshTarget& target, const std::string& shown,
                           const std::string& where) {
  return absl::StrCat("HOST KEY REVOKED: the key of ", shownName(target),
                      shown.empty() ? "" : ", " + shown + ",", " is revoked in ",
                      escapeForTerminal(where),
                      ". Do not connect; ask who runs the machine for its new key.");
}

std::string permissionDenied(const SshTarget& target, const Denial& denial) {
  auto who = absl::StrCat(escapeForTerminal(target.user), target.user.empty() ? "" : "@",
                          escapeForTerminal(target.alias));
  auto message = absl::StrCat(
      "permission denied for ", who, ". ",
      denial.tried.empty() ? "There is no key to offer: none of the identity files exists, and no "
                             "ssh-agent has one"
                           : "Tried: " + absl::StrJoin(denial.tried, "; "),
      ". ");
  if (!denial.encrypted.empty()) {
    absl::StrAppend(&message,
                    "A run without a person at it needs a key without a passphrase, or one that "
                    "'ssh-add ",
                    escapeForTerminal(shellQuote(denial.encrypted[0])), "' put in an agent. ");
  }
  absl::StrAppend(
      &message,
      denial.forAgent
          ? "On the spoke, ~/.ssh/authorized_keys needs the line that 'pi-brain-agent "
            "--authorized-keys-line KEY.pub' prints ('pi-brain spoke add' puts it there)"
          : "On the spoke, ~/.ssh/authorized_keys needs the key: 'ssh-copy-id -i KEY.pub' "
            "puts it there");
  absl::StrAppend(&message,
                  ", and neither ~ nor ~/.ssh may be writable by others; on the hub, IdentityFile "
                  "in ~/.ssh/config names the key.");
  return message;
}

std::optional<std::string> explainUsualFailure(const SshTarget& target, const std::string& errors,
                                               const Denial& denial) {
  // The server's banner, which may say anything, stands before these.
  std::vector<std::string> lines =
      absl::StrSplit(errors, absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  if (lines.size() > 2) lines.erase(lines.begin(), lines.end() - 2);
  auto last = absl::StrJoin(lines, "\n");
  auto says = [&](const char* words) { return absl::StrContains(last, words); };
  auto said = absl::StrCat(" (ssh said: ", ownWords(errors), ")");
  // What is about the host's key comes before any banner, and is the end.
  if (says("ost key verification failed")) return explainKeyProblem(target, errors) + said;
  if (says("Permission denied (") || says("Too many authentication failures")) {
    auto all = denial;
    all.tried.push_back("ssh said: " + ownWords(errors));
    return permissionDenied(target, all);
  }
  if (says("Could not resolve hostname")) {
    return unresolvedName(target, "ssh said: " + ownWords(errors));
  }
  if (says("Connection refused")) return connectionRefused(target) + said;
  if (says("timed out")) return noAnswer(target) + said;
  if (says("No route to host") || says("is unreachable")) {
    return unreachable(target, "ssh said: " + ownWords(errors));
  }
  return std::nullopt;
}

std::string explainOpenssh(const SshTarget& target, const std::string& errors,
                           const Denial& denial) {
  if (auto usual = explainUsualFailure(target, errors, denial)) return *usual;
  return absl::StrCat("ssh could not connect to ", where(target), ": ",
                      errors.empty() ? "it said nothing" : ownWords(errors), ". Try '",
                      sshInvocation(target), " -v true'.");
}

std::string ownWords(const std::string& errors) {
  std::vector<std::string> lines =
      absl::StrSplit(errors, absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  // The banner of a changed key and the like: the last lines say it.
  constexpr size_t LAST = 3;
  if (lines.size() > LAST) lines.erase(lines.begin(), lines.end() - LAST);
  auto words = absl::StrJoin(lines, " / ");
  constexpr size_t LONGEST = 400;
  return escapeForTerminal(words.size() > LONGEST ? words.substr(words.size() - LONGEST) : words);
}

std::string sshInvocation(const SshTarget& target) {
  return absl::StrCat(
      "ssh ",
      target.configFile.empty() ? "" : absl::StrCat("-F ", shellQuote(target.configFile), " "),
      target.user.empty() ? "" : absl::StrCat("-l ", shellQuote(target.user), " "),
      escapeForTerminal(target.alias));
}

std::string addingCommand(const SshTarget& target) {
  auto byHand = absl::StrCat("connect once by hand with '", sshInvocation(target), "'");
  if (target.userKnownHostsFiles.empty()) {
    return "name a UserKnownHostsFile in the ssh configuration, and " + byHand;
  }
  // Behind a jump ssh-keyscan does not reach it.
  if (!target.proxyJump.empty() || !target.proxyCommand.empty()) return byHand;
  auto alias =
      target.hostKeyAlias.empty()
          ? ""
          : absl::StrCat(" | sed 's/^[^ ]*/", escapeForTerminal(target.hostKeyAlias), "/'");
  return absl::StrCat(
      "add it with 'ssh-keyscan ", target.port == 22 ? "" : absl::StrCat("-p ", target.port, " "),
      escapeForTerminal(target.host), alias, " >> ",
      escapeForTerminal(shellQuote(target.userKnownHostsFiles[0])), "', or ", byHand);
}

}  // namespace pibrain
