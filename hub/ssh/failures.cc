#include "hub/ssh/failures.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include "common/text/text.h"
#include "hub/ssh/host-trust.h"

namespace pibrain {

namespace {

constexpr absl::string_view DEBUG = "debug1: ";

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
  if (auto unread = known.unread(); !unread.empty()) {
    return unreadKnownHosts(target, unread, fingerprintIn(errors));
  }
  return unknownHostKey(target, known.hasCertAuthority(), fingerprintIn(errors));
}

}  // namespace

bool isDebugMessage(const std::string& line) { return absl::StartsWith(line, DEBUG); }

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

const char* nameOf(SshStep step) {
  switch (step) {
    case SshStep::NAME:
      return "name";
    case SshStep::TCP:
      return "connection";
    case SshStep::GREETING:
      return "greeting";
    case SshStep::KEY_EXCHANGE:
      return "key exchange";
    case SshStep::HOST_KEY:
      return "host key";
    case SshStep::LOGIN:
      return "login";
    case SshStep::COMMAND:
      return "command";
  }
  return "";
}

std::string tookTooLong(const SshTarget& target, SshStep step) {
  auto seconds = absl::StrCat(target.connectTimeout, " s (ConnectTimeout)");
  auto look = absl::StrCat("Try '", sshInvocation(target), " -v true'.");
  switch (step) {
    case SshStep::NAME:
      return absl::StrCat("the name server did not say within ", seconds, " where ",
                          escapeForTerminal(target.host), " is. 'getent hosts ",
                          escapeForTerminal(target.host),
                          "' asks it again; an address as HostName in ~/.ssh/config does without "
                          "it.");
    case SshStep::TCP:
      return noAnswer(target);
    case SshStep::GREETING:
      if (!target.proxyCommand.empty() || !target.proxyJump.empty()) {
        return absl::StrCat("no SSH greeting of ", where(target), " came through ",
                            target.proxyJump.empty() ? "its ProxyCommand" : "ProxyJump ",
                            escapeForTerminal(target.proxyJump), " within ", seconds, ". ", look);
      }
      return absl::StrCat(where(target), " took the connection, but sent no SSH greeting within ",
                          seconds,
                          ". The machine may be very busy, or another program may hold that "
                          "port. ",
                          look);
    case SshStep::KEY_EXCHANGE:
    case SshStep::HOST_KEY:
      return absl::StrCat(where(target), " greeted, but its key exchange took longer than ",
                          seconds, ". The machine or the network may be very busy. ", look);
    case SshStep::LOGIN:
      return absl::StrCat("the login at ", where(target), " took longer than ", seconds,
                          ". sshd there may wait for a name server ('UseDNS no' in its "
                          "sshd_config) or for PAM. ",
                          look);
    case SshStep::COMMAND:
      return absl::StrCat("the login at ", where(target),
                          " worked, but the command was not begun within ", seconds, ". ", look);
  }
  return "";
}

std::string brokeOff(const SshTarget& target, SshStep step, const std::string& why) {
  return absl::StrCat("the SSH connection to ", where(target), " broke off at the step '",
                      nameOf(step), "': ", escapeForTerminal(why), ". Try '", sshInvocation(target),
                      " -v true'.");
}

std::string notSsh(const SshTarget& target, std::string_view said) {
  return absl::StrCat("what listens at ", where(target), " is no SSH server: it began with '",
                      escapeForTerminal(shorten(said, 60)),
                      "'. Check HostName and Port in ~/.ssh/config.");
}

std::string nothingInCommon(const SshTarget& target, const std::string& said) {
  return absl::StrCat(
      "the SSH server at ", where(target),
      " and this machine have no method in common for some part of the connection (", said,
      "). Allow what it offers in ~/.ssh/config (KexAlgorithms, Ciphers, MACs, HostKeyAlgorithms), "
      "or upgrade the older of the two.");
}

bool turnsAway(std::string_view said) {
  // sshd's words of MaxStartups and PerSourcePenalties; other ones say nothing.
  return said.empty() || said.find("Exceeded MaxStartups") != said.npos ||
         said.find("Not allowed at this time") != said.npos;
}

std::string turnedAway(const SshTarget& target, std::string_view said) {
  return absl::StrCat(
      where(target), " closed the connection before its SSH greeting",
      said.empty() ? "" : absl::StrCat(" (it said: ", escapeForTerminal(shorten(said, 60)), ")"),
      ", several times. Servers turn connections away for a while when there are too many "
      "(MaxStartups in its sshd_config), or after refused keys (PerSourcePenalties, fail2ban). It "
      "passes by itself; --jobs makes fewer at a time. If it does not pass, another program may "
      "hold that port: 'nc ",
      escapeForTerminal(target.host), " ", target.port, "' shows its greeting.");
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

namespace {

// The key is right; what else the spoke wants cannot be had unattended.
std::string secondFactor(const SshTarget& target, const std::string& wanted) {
  return absl::StrCat("The spoke accepted the key, and wants more: ", wanted,
                      ". A run has nobody to ask. For this login, its sshd_config needs an "
                      "exception: 'Match User ",
                      escapeForTerminal(target.user),
                      "', and beneath it 'AuthenticationMethods publickey'");
}

std::string agentDidNotSign(const std::string& key) {
  return absl::StrCat("The spoke would let ", key,
                      " in, but the ssh-agent refused to sign with it: it may want a person's "
                      "confirmation ('ssh-add -c'), a passphrase or a token. For runs that nobody "
                      "is at, use a key without these");
}

std::string keyIsMissingThere(const Denial& denial) {
  return absl::StrCat(
      denial.forAgent
          ? "On the spoke, ~/.ssh/authorized_keys needs the line that 'pi-brain-agent "
            "--authorized-keys-line KEY.pub' prints ('pi-brain spoke add' puts it there)"
          : "On the spoke, ~/.ssh/authorized_keys needs the key: 'ssh-copy-id -i KEY.pub' "
            "puts it there",
      ", and neither ~ nor ~/.ssh may be writable by others; on the hub, IdentityFile in "
      "~/.ssh/config names the key");
}

constexpr char NO_KEY[] =
    "There is no key to offer: none of the identity files exists, and no ssh-agent has one (one "
    "that is locked shows none: 'ssh-add -l')";

}  // namespace

std::string permissionDenied(const SshTarget& target, const Denial& denial) {
  auto message =
      absl::StrCat("permission denied for ", escapeForTerminal(target.user),
                   target.user.empty() ? "" : "@", escapeForTerminal(target.alias), ". ");
  if (!denial.wanted.empty()) {
    return absl::StrCat(message, secondFactor(target, denial.wanted), ".");
  }
  absl::StrAppend(&message,
                  denial.tried.empty() ? NO_KEY : "Tried: " + absl::StrJoin(denial.tried, "; "),
                  ". ");
  if (!denial.notSigned.empty()) {
    return absl::StrCat(message, agentDidNotSign(denial.notSigned), ".");
  }
  if (!denial.encrypted.empty()) {
    absl::StrAppend(&message,
                    "A run without a person at it needs a key without a passphrase, or one that "
                    "'ssh-add ",
                    escapeForTerminal(shellQuote(denial.encrypted[0])), "' put in an agent. ");
  }
  return absl::StrCat(message, keyIsMissingThere(denial), ".");
}

namespace {

std::string withoutFullStop(std::string text) {
  while (text.ends_with('.')) text.pop_back();
  return text;
}

// With what ssh wrote of the login, of which `last` is the end.
Denial withOpenssh(const std::vector<std::string>& lines, const std::string& last, Denial denial) {
  denial.tried.push_back("ssh said: " + withoutFullStop(escapeForTerminal(shorten(last, 300))));
  for (auto& line : lines) {
    // sign_and_send_pubkey: signing failed for TYPE "NAME" from agent: agent refused operation
    if (line.starts_with("sign_and_send_pubkey: ") && absl::StrContains(line, "agent")) {
      auto from = line.find('"'), to = line.rfind('"');
      denial.notSigned = from < to && to != std::string::npos
                             ? escapeForTerminal(line.substr(from + 1, to - from - 1))
                             : "a key";
    }
    if (line.starts_with("Authenticated ") && absl::StrContains(line, "partial success")) {
      auto from = last.find('('), to = last.rfind(')');
      denial.wanted = from < to && to != std::string::npos
                          ? escapeForTerminal(last.substr(from + 1, to - from - 1))
                          : "something else";
    }
  }
  return denial;
}

}  // namespace

std::optional<std::string> explainUsualFailure(const SshTarget& target, const std::string& errors,
                                               const Denial& denial) {
  std::vector<std::string> all = absl::StrSplit(errors, absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  // The server's banner, which may say anything, stands before these.
  auto lines = all;
  std::erase_if(lines, isDebugMessage);
  if (lines.size() > 2) lines.erase(lines.begin(), lines.end() - 2);
  auto last = absl::StrJoin(lines, "\n");
  auto says = [&](const char* words) { return absl::StrContains(last, words); };
  auto said = absl::StrCat(" (ssh said: ", ownWords(errors), ")");
  // What is about the host's key comes before any banner, and is the end.
  if (says("ost key verification failed")) return explainKeyProblem(target, errors) + said;
  if (says("Permission denied (") || says("Too many authentication failures")) {
    return permissionDenied(target, withOpenssh(all, lines.back(), denial));
  }
  if (says("Could not resolve hostname")) {
    return unresolvedName(target, "ssh said: " + ownWords(errors));
  }
  if (says("Connection refused")) return connectionRefused(target) + said;
  if (says("during banner exchange") && says("timed out")) {
    return tookTooLong(target, SshStep::GREETING) + said;
  }
  if (says("timed out")) return noAnswer(target) + said;
  if (says("No route to host") || says("is unreachable")) {
    return unreachable(target, "ssh said: " + ownWords(errors));
  }
  if (says("Unable to negotiate")) return nothingInCommon(target, "ssh said: " + ownWords(errors));
  if (auto instead = insteadOfGreeting(target, errors)) {
    return (turnsAway(*instead) ? turnedAway(target, *instead) : notSsh(target, *instead)) + said;
  }
  return std::nullopt;
}

std::optional<std::string> insteadOfGreeting(const SshTarget& target, const std::string& errors) {
  // Behind a proxy it may be the proxy that ended.
  if (!target.proxyJump.empty() || !target.proxyCommand.empty()) return std::nullopt;
  constexpr absl::string_view STEP = "kex_exchange_identification: ", LINE = "banner line ";
  bool failed = false;
  std::string greeting;
  for (absl::string_view line : absl::StrSplit(errors, absl::ByAnyChar("\r\n"))) {
    bool debug = absl::ConsumePrefix(&line, DEBUG);
    if (!absl::ConsumePrefix(&line, STEP)) continue;
    failed |= !debug;
    // banner line NUMBER: WORDS
    bool instead = absl::ConsumePrefix(&line, LINE);
    auto colon = line.find(": ");
    if (instead && colon != line.npos && greeting.empty())
      greeting = std::string(line.substr(colon + 2));
  }
  return failed ? std::optional(greeting) : std::nullopt;
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
  std::erase_if(lines, isDebugMessage);
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
