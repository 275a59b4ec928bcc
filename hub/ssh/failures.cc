#include "hub/ssh/failures.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <sys/socket.h>

#include <algorithm>

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
std::string fingerprintIn(absl::string_view text) {
  auto start = text.find("SHA256:");
  if (start == text.npos) return "";
  return std::string(
      text.substr(start, text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                                "uvwxyz0123456789+/",
                                                start + 7) -
                             start));
}

// What follows `words` in the last line that begins with them; empty: none does.
std::string lastBehind(const std::string& errors, absl::string_view words) {
  absl::string_view found;
  for (absl::string_view line : absl::StrSplit(errors, absl::ByAnyChar("\r\n"))) {
    if (absl::ConsumePrefix(&line, words)) found = line;
  }
  return std::string(found);
}

// "SHA256:… (ssh-ed25519)", the key that the host shows, as far as ssh said.
std::string shownKeyIn(const std::string& errors) {
  // debug1: Server host key: TYPE FINGERPRINT
  auto line = lastBehind(errors, "debug1: Server host key: ");
  auto print = fingerprintIn(line);
  if (print.empty()) return fingerprintIn(errors);
  return absl::StrCat(print, " (", escapeForTerminal(line.substr(0, line.find(' '))), ")");
}

// What prints, on the host, the fingerprint of the key that it shows (sshd_config(5), HostKey).
std::string fingerprintCommand(const std::string& shown) {
  if (!absl::StrContains(shown, "(")) {
    return "'cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -'";
  }
  const char* type = absl::StrContains(shown, "(ssh-rsa") || absl::StrContains(shown, "(rsa-")
                         ? "rsa"
                     : absl::StrContains(shown, "(ecdsa-") ? "ecdsa"
                                                           : "ed25519";
  return absl::StrCat("'ssh-keygen -lf /etc/ssh/ssh_host_", type, "_key.pub'");
}

std::string invalidCertificate(const SshTarget& target, const std::string& why) {
  return absl::StrCat(
      "host key verification failed: ", shownName(target),
      " shows a host certificate that is not valid: ", withoutFullStop(escapeForTerminal(why)),
      ". Its authority has to sign a new one, for this name and for a time that is not over. "
      "'ssh-keygen -L -f' on the file that HostCertificate in its sshd_config names shows what the "
      "one that it has is for.");
}

std::string explainKeyProblem(const SshTarget& target, const std::string& errors) {
  auto known = knownTargetOf(target);
  // The list itself, not the key: "Error checking host key … in revoked keys file …".
  if (absl::StrContains(errors, "in revoked keys file")) {
    return "RevokedHostKeys names a file that ssh cannot use, and so trusts no host key; mend the "
           "file, or remove the setting";
  }
  if (absl::StrContains(errors, "IDENTIFICATION HAS CHANGED")) {
    return changedHostKey(target, known.own, shownKeyIn(errors));
  }
  if (absl::StrContains(errors, "revoked")) {
    return revokedHostKey(target, shownKeyIn(errors), "known_hosts or RevokedHostKeys");
  }
  if (auto why = lastBehind(errors, "Certificate invalid: "); !why.empty()) {
    return invalidCertificate(target, why);
  }
  if (auto unread = known.unread(); !unread.empty()) {
    return unreadKnownHosts(target, unread, shownKeyIn(errors));
  }
  // ssh has looked at certificates itself.
  return unknownHostKey(target, false, shownKeyIn(errors)) +
         (known.hasCertAuthority()
              ? " A @cert-authority line matches, but the host shows no certificate of it."
              : "");
}

// A line that ssh writes of itself and nobody asked for.
bool isTale(absl::string_view line) {
  return absl::StartsWith(line, DEBUG) || absl::StartsWith(line, "Transferred: ") ||
         absl::StartsWith(line, "Bytes per second: ");
}

}  // namespace

std::string withoutTales(const std::string& errors) {
  // What a command wrote may have no line's end.
  constexpr char BEHIND[] = "debug1: client_input_channel_req: channel 0 rtype ";
  std::vector<std::string> lines = absl::StrSplit(errors, '\n');
  std::erase_if(lines, isTale);
  for (auto& line : lines) line.erase(std::min(line.find(BEHIND), line.size()));
  return absl::StrJoin(lines, "\n");
}

std::string unresolvedName(const SshTarget& target, const std::string& why) {
  auto host = escapeForTerminal(target.host);
  if (target.addressFamily != AF_UNSPEC) {
    bool six = target.addressFamily == AF_INET6;
    return absl::StrCat(host, " has no ", six ? "IPv6" : "IPv4",
                        " address, or none is known: ", why, ". 'AddressFamily ",
                        six ? "inet6" : "inet",
                        "' in the ssh configuration allows no other: remove it there, or write a "
                        "HostName that has one.");
  }
  return absl::StrCat("the host name ", host, " cannot be resolved: ", why,
                      ". Check the spelling in 'source', or add the host to ~/.ssh/config with a "
                      "HostName that works; 'getent hosts ",
                      host, "' shows what the system knows.");
}

std::string connectionRefused(const SshTarget& target) {
  return absl::StrCat("connection refused by ", where(target),
                      ". The machine is up, but no SSH server listens there. Start it there "
                      "with 'sudo systemctl start ssh' (or sshd), and check the port with '",
                      sshInvocation(target), " -G | grep ^port'.");
}

std::string noAnswer(const SshTarget& target) {
  return absl::StrCat("no answer from ", where(target), " within ", target.connectTimeout,
                      " s. The machine is off, asleep or behind a firewall. Try 'ping ",
                      escapeForTerminal(target.host),
                      "' and, there, 'sudo ufw status' or 'sudo firewall-cmd --list-all'.");
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
                      nameOf(step), "': ", withoutFullStop(escapeForTerminal(why)), ". Try '",
                      sshInvocation(target), " -v true'.",
                      step == SshStep::COMMAND
                          ? absl::StrCat(" If it happens each time: ", WHY_CUT_AFTER_LOGIN, ".")
                          : "");
}

std::string nothingInCommon(const SshTarget& target, const std::string& said) {
  return absl::StrCat(
      "the SSH server at ", where(target),
      " and this machine have no method in common for some part of the connection (", said,
      "). Allow what it offers in ~/.ssh/config (KexAlgorithms, Ciphers, MACs, HostKeyAlgorithms), "
      "or upgrade the older of the two.");
}

namespace {

// What ssh does not show of what came in place of a greeting.
constexpr char NO_TEXT[] = "characters that no text has";

std::string firstLine(std::string_view text) {
  return escapeForTerminal(elideMiddle(withoutFullStop(text.substr(0, text.find('\n'))), 60));
}

std::string turnedAway(const SshTarget& target, std::string_view said) {
  return absl::StrCat(
      where(target), " closed the connection before its SSH greeting",
      said.empty() ? "" : absl::StrCat(" (it said: ", firstLine(said), ")"),
      ", several times. Servers turn connections away for a while when there are too many "
      "(MaxStartups in its sshd_config), or after refused keys (PerSourcePenalties, fail2ban). It "
      "passes by itself; --jobs makes fewer at a time. If it does not pass, another program may "
      "hold that port: 'nc ",
      escapeForTerminal(target.host), " ", target.port, "' shows its greeting.");
}

std::string notSsh(const SshTarget& target, std::string_view said) {
  auto line = firstLine(said);
  auto began = line.empty()      ? std::string("an empty line")
               : line == NO_TEXT ? line
                                 : absl::StrCat("'", line, "'");
  return absl::StrCat("what listens at ", where(target), " is no SSH server: it began with ", began,
                      ". Check HostName and Port in ~/.ssh/config.");
}

}  // namespace

bool turnsAway(std::string_view said) {
  // sshd's words of MaxStartups and PerSourcePenalties; other ones say nothing.
  return said.empty() || said.find("Exceeded MaxStartups") != said.npos ||
         said.find("Not allowed at this time") != said.npos;
}

std::string noGreeting(const SshTarget& target, std::string_view said) {
  if (turnsAway(said)) return turnedAway(target, said);
  // As tcpd says it (hosts_options(5)).
  if (said.find("not welcome") != said.npos) {
    return absl::StrCat(
        where(target),
        " takes no connection from this machine's address (it said: ", firstLine(said),
        "). On the spoke, /etc/hosts.allow and /etc/hosts.deny say who may "
        "connect: 'sshd: ADDRESS' in the first lets this machine in.");
  }
  return notSsh(target, said);
}

bool isOldGreeting(std::string_view greeting) {
  // One that speaks both calls itself 1.99 (RFC 4253, section 5.1).
  return greeting.starts_with("SSH-1.") && !greeting.starts_with("SSH-1.99");
}

std::string tooOldServer(const SshTarget& target, const std::string& greeting) {
  return absl::StrCat("the server at ", where(target), " speaks SSH 1 only (", greeting,
                      "), which is broken and which neither ssh nor pi-brain speaks. Upgrade the "
                      "SSH server there.");
}

std::string noSession(const SshTarget& target, const std::string& why) {
  return absl::StrCat(
      "the login at ", escapeForTerminal(target.alias),
      " worked, but the server opened no session for the command (it said: ", withoutFullStop(why),
      "). MaxSessions in its sshd_config has to be 1 at least: 'sudo sshd -T | grep "
      "-i maxsessions' there shows it.");
}

std::string unknownHostKey(const SshTarget& target, bool hasCertAuthority,
                           const std::string& shown) {
  return absl::StrCat(
      "host key verification failed: ", shownName(target), " is not in known_hosts. ",
      shown.empty() ? "" : absl::StrCat("It shows ", shown, ". "),
      hasCertAuthority ? "A @cert-authority line matches; libssh2 cannot verify it, 'ssh: "
                         "openssh' in the config can. "
                       : "",
      "Compare ", shown.empty() ? "the key that you get" : "that", " with ",
      fingerprintCommand(shown), " on ", escapeForTerminal(target.alias), "; if they agree, ",
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

// What to do where a person would be asked and none can be.
std::string nobodyToAsk(LoginOf of) {
  return of == LoginOf::PERSON ? "Nobody can be asked for that here: do it at a terminal, without "
                                 "--batch"
                               : "A run has nobody to ask";
}

// The key is right; what else the spoke wants cannot be had unattended.
std::string secondFactor(const SshTarget& target, const AuthFailure& authFailure) {
  auto text = absl::StrCat("The spoke accepted the key, and wants more: ", authFailure.wanted, ". ",
                           nobodyToAsk(authFailure.of));
  if (authFailure.of == LoginOf::PERSON) return text;
  return absl::StrCat(text, ". For this login, its sshd_config needs an exception: 'Match User ",
                      escapeForTerminal(target.user),
                      "', and beneath it 'AuthenticationMethods publickey'");
}

// The server lets nobody in by a key, or not by a key alone and not at first.
std::string takesNoKey(const SshTarget& target, const AuthFailure& authFailure) {
  return absl::StrCat(
      "The spoke takes no key for this login, or not at first: it wants ", authFailure.methods,
      ". ", nobodyToAsk(authFailure.of),
      ". For a login by key, its sshd_config has to say 'PubkeyAuthentication yes', "
      "and 'AuthenticationMethods publickey' or nothing of AuthenticationMethods; "
      "'sudo sshd -T -C user=",
      escapeForTerminal(target.user), "' there shows both");
}

std::string tooManyKeys() {
  return "The spoke listens to no more keys at one login (MaxAuthTries in its sshd_config), so the "
         "right one may not have had its turn. Offer that one alone: name it as 'key' of the spoke "
         "in the config, or as IdentityFile with 'IdentitiesOnly yes' in ~/.ssh/config";
}

std::string typeNotTaken(const std::string& type) {
  return absl::StrCat(
      "sshd on the spoke takes no keys of the type ", type,
      ": PubkeyAcceptedAlgorithms in its sshd_config leaves it out. Add it there, or "
      "use a key of another type");
}

std::string agentDidNotSign(const std::string& key) {
  return absl::StrCat("The spoke would let ", key,
                      " in, but the ssh-agent refused to sign with it: it may want a person's "
                      "confirmation ('ssh-add -c'), a passphrase or a token. For runs that nobody "
                      "is at, use a key without these");
}

std::string keyIsMissingThere(const SshTarget& target, const AuthFailure& authFailure) {
  auto text = absl::StrCat(
      authFailure.of == LoginOf::AGENT
          ? "On the spoke, ~/.ssh/authorized_keys needs the line that 'pi-brain-agent "
            "--authorized-keys-line KEY.pub' prints ('pi-brain spoke add' puts it there)"
          : "On the spoke, ~/.ssh/authorized_keys needs the key: 'ssh-copy-id -i KEY.pub' "
            "puts it there",
      ", and neither ~ nor ~/.ssh may be writable by others");
  if (target.key.empty()) {
    absl::StrAppend(&text, "; on the hub, IdentityFile in ~/.ssh/config names the key");
  }
  // sshd says the same of an account that it does not let in as of a wrong key.
  if (authFailure.of == LoginOf::PERSON) {
    absl::StrAppend(&text,
                    ". If the key is right, look at the account on the spoke: 'getent passwd ",
                    escapeForTerminal(shellQuote(target.user)),
                    "' shows its login shell, and sshd lets nobody in whose shell does not exist");
  }
  return text;
}

std::string noKeyToOffer(const SshTarget& target) {
  std::vector<std::string> files;
  for (auto& file : target.identityFiles) files.push_back(escapeForTerminal(file));
  return absl::StrCat("There is no key to offer: none of the identity files exists",
                      files.empty() ? "" : absl::StrCat(" (", absl::StrJoin(files, ", "), ")"),
                      ", and no ssh-agent has one (one that is locked shows none: 'ssh-add -l')");
}

// What a person does about it, as a sentence without its full stop.
std::string cureOf(const SshTarget& target, const AuthFailure& authFailure) {
  if (!authFailure.notSigned.empty()) return agentDidNotSign(authFailure.notSigned);
  // A key of its own was the only one.
  if (authFailure.tooMany && target.key.empty()) return tooManyKeys();
  if (!authFailure.notTaken.empty()) return typeNotTaken(authFailure.notTaken);
  std::vector<std::string> cures;
  if (!authFailure.encrypted.empty()) {
    cures.push_back(
        absl::StrCat("A run without a person at it needs a key without a passphrase, or one that "
                     "'ssh-add ",
                     escapeForTerminal(shellQuote(authFailure.encrypted[0])), "' put in an agent"));
  }
  if (authFailure.offered) {
    cures.push_back(keyIsMissingThere(target, authFailure));
  } else if (cures.empty()) {
    cures.push_back(target.key.empty()
                        ? "IdentityFile in ~/.ssh/config on the hub names the key to offer"
                        : "So no key was offered to the spoke");
  }
  return absl::StrJoin(cures, ". ");
}

}  // namespace

std::string permissionDenied(const SshTarget& target, const AuthFailure& authFailure) {
  auto message =
      absl::StrCat("permission denied for ", escapeForTerminal(target.user),
                   target.user.empty() ? "" : "@", escapeForTerminal(target.alias), ". ");
  if (!authFailure.wanted.empty()) {
    return absl::StrCat(message, secondFactor(target, authFailure), ".");
  }
  std::vector<std::string> methods = absl::StrSplit(authFailure.methods, ',', absl::SkipEmpty());
  if (!methods.empty() && std::find(methods.begin(), methods.end(), "publickey") == methods.end()) {
    return absl::StrCat(message, takesNoKey(target, authFailure), ".");
  }
  auto tried = authFailure.tried.empty() ? noKeyToOffer(target)
                                         : "Tried: " + absl::StrJoin(authFailure.tried, "; ");
  return absl::StrCat(message, tried, ". ", cureOf(target, authFailure), ".");
}

bool saysTooMany(std::string_view said) {
  return said.find("Too many authentication failures") != said.npos;
}

namespace {

// What stands in the last parentheses of a line.
std::string inParentheses(const std::string& line) {
  auto to = line.rfind(')'), from = line.rfind('(', to);
  if (to == line.npos || from == line.npos) return "";
  return escapeForTerminal(line.substr(from + 1, to - from - 1));
}

// Whether a server that takes signatures of these algorithms takes keys of this type, as ssh calls
// it.
bool takesType(const std::string& algorithms, const std::string& type) {
  if (algorithms.empty()) return true;
  auto has = [&](const char* name) { return absl::StrContains("," + algorithms, name); };
  if (type == "ED25519") return has(",ssh-ed25519");
  if (type == "ECDSA") return has(",ecdsa-sha2-");
  if (type == "RSA") return has(",ssh-rsa") || has(",rsa-sha2-");
  return true;
}

// The keys that ssh offered, by what it wrote with LogLevel DEBUG1.
void addOffered(const std::vector<std::string>& lines, AuthFailure& authFailure) {
  constexpr absl::string_view OFFER = "debug1: Offering public key: ";
  constexpr absl::string_view TAKES = "server-sig-algs=<";
  std::string algorithms;
  bool taken = false;
  authFailure.offered =
      authFailure.offered || !std::any_of(lines.begin(), lines.end(),
                                          [](auto& line) { return absl::StartsWith(line, DEBUG); });
  for (absl::string_view line : lines) {
    // Newer servers say it again when they know who it is.
    if (auto at = line.find(TAKES); at != line.npos && absl::StartsWith(line, DEBUG)) {
      algorithms = std::string(line.substr(at + TAKES.size()));
    }
    // NAME TYPE SHA256:… …
    if (!absl::ConsumePrefix(&line, OFFER)) continue;
    auto print = line.rfind(" SHA256:");
    auto type = print == line.npos || print == 0 ? line.npos : line.rfind(' ', print - 1);
    if (type == line.npos) continue;
    auto name = escapeForTerminal(std::string(line.substr(0, type)));
    // A key of which it is known why it is none: ssh offers what it cannot sign with.
    bool isNone = std::any_of(authFailure.tried.begin(), authFailure.tried.end(),
                              [&](auto& one) { return absl::StartsWith(one, name + ", "); });
    if (isNone) continue;
    auto kind = std::string(line.substr(type + 1, print - type - 1));
    bool takes = takesType(algorithms, kind);
    taken |= takes;
    authFailure.notTaken = takes ? "" : escapeForTerminal(kind);
    authFailure.offered = true;
    auto refused = name + " was refused";
    if (std::find(authFailure.tried.begin(), authFailure.tried.end(), refused) ==
        authFailure.tried.end()) {
      authFailure.tried.push_back(refused);
    }
  }
  if (taken) authFailure.notTaken.clear();
}

// With what ssh wrote of the login, which ended with `last`.
AuthFailure withOpenssh(const std::vector<std::string>& lines, const std::string& last,
                        AuthFailure authFailure) {
  addOffered(lines, authFailure);
  authFailure.tooMany |= saysTooMany(last);
  // USER@HOST: Permission denied (METHODS).
  if (absl::StrContains(last, "Permission denied (")) authFailure.methods = inParentheses(last);
  authFailure.tried.push_back("ssh said: " + stderrTail(last));
  for (auto& line : lines) {
    // sign_and_send_pubkey: signing failed for TYPE "NAME" from agent: agent refused operation
    if (line.starts_with("sign_and_send_pubkey: ") && absl::StrContains(line, "agent")) {
      auto from = line.find('"'), to = line.rfind('"');
      authFailure.notSigned = from < to && to != std::string::npos
                                  ? escapeForTerminal(line.substr(from + 1, to - from - 1))
                                  : "a key";
    }
    if (line.starts_with("Authenticated ") && absl::StrContains(line, "partial success")) {
      authFailure.wanted = authFailure.methods.empty() ? "something else" : authFailure.methods;
    }
  }
  return authFailure;
}

}  // namespace

namespace {

// About the usual things.
std::optional<std::string> explainUsual(const SshTarget& target, const std::string& errors,
                                        const AuthFailure& authFailure) {
  std::vector<std::string> all = absl::StrSplit(errors, absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  // The server's banner, which may say anything, stands before these.
  auto lines = all;
  std::erase_if(lines, isTale);
  if (lines.size() > 2) lines.erase(lines.begin(), lines.end() - 2);
  auto last = absl::StrJoin(lines, "\n");
  auto says = [&](const char* words) { return absl::StrContains(last, words); };
  auto said = absl::StrCat(" (ssh said: ", stderrTail(errors), ")");
  // What is about the host's key comes before any banner, and is the end.
  if (says("ost key verification failed")) return explainKeyProblem(target, errors) + said;
  if (says("Permission denied (") || saysTooMany(last)) {
    return permissionDenied(target, withOpenssh(all, last, authFailure));
  }
  if (says("Could not resolve hostname")) {
    return unresolvedName(target, "ssh said: " + stderrTail(errors));
  }
  if (says("Connection refused")) return connectionRefused(target) + said;
  if (says("during banner exchange") && says("timed out")) {
    return tookTooLong(target, SshStep::GREETING) + said;
  }
  if (says("timed out")) return noAnswer(target) + said;
  if (says("No route to host") || says("is unreachable")) {
    return unreachable(target, "ssh said: " + stderrTail(errors));
  }
  if (!target.bindAddress.empty() &&
      (says("Cannot assign requested address") || says("getaddrinfo: ") || says("bind "))) {
    return unreachable(target, absl::StrCat("BindAddress ", escapeForTerminal(target.bindAddress),
                                            " cannot be used for it")) +
           said;
  }
  if (says("Unable to negotiate"))
    return nothingInCommon(target, "ssh said: " + stderrTail(errors));
  if (says("Protocol major versions differ")) {
    // debug1: Remote protocol version 1.5, remote software version …
    auto version = lastBehind(errors, "debug1: Remote protocol version ");
    auto greeting = "SSH-" + version.substr(0, version.find(','));
    return tooOldServer(target, version.empty() ? stderrTail(last) : escapeForTerminal(greeting));
  }
  if (auto instead = insteadOfGreeting(target, errors)) return noGreeting(target, *instead) + said;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> insteadOfGreeting(const SshTarget& target, const std::string& errors) {
  // Behind a proxy it may be the proxy that ended.
  if (!target.proxyJump.empty() || !target.proxyCommand.empty()) return std::nullopt;
  constexpr absl::string_view STEP = "kex_exchange_identification: ", LINE = "banner line ";
  constexpr absl::string_view RESET = "Connection reset by peer";
  bool failed = false;
  std::string greeting;
  for (absl::string_view line : absl::StrSplit(errors, absl::ByAnyChar("\r\n"))) {
    // A connection may be reset before ssh knows that it has one.
    failed |= absl::StartsWith(line, "ssh: connect to host ") && absl::EndsWith(line, RESET);
    bool debug = absl::ConsumePrefix(&line, DEBUG);
    if (!absl::ConsumePrefix(&line, STEP)) continue;
    failed |= !debug;
    // "banner line NUMBER: WORDS", or what is wrong with one.
    if (!absl::ConsumePrefix(&line, LINE) || !greeting.empty()) continue;
    auto colon = line.find(": ");
    greeting = colon == line.npos         ? NO_TEXT
               : line.size() == colon + 2 ? "\n"
                                          : std::string(line.substr(colon + 2));
  }
  return failed ? std::optional(greeting) : std::nullopt;
}

std::string explainOpenssh(const SshTarget& target, const std::string& errors,
                           const AuthFailure& authFailure) {
  if (auto usual = explainUsual(target, errors, authFailure)) return *usual;
  auto said = stderrTail(errors);
  return absl::StrCat("ssh could not connect to ", where(target), ": ",
                      said.empty() ? "it said nothing" : said, ". Try '", sshInvocation(target),
                      " -v true'.");
}

std::string stderrTail(const std::string& errors) {
  std::vector<std::string> lines =
      absl::StrSplit(withoutTales(errors), absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  // The banner of a changed key and the like: the last lines say it.
  constexpr size_t LAST = 3;
  if (lines.size() > LAST) lines.erase(lines.begin(), lines.end() - LAST);
  auto words = withoutFullStop(absl::StrJoin(lines, " / "));
  constexpr size_t LONGEST = 400;
  return escapeForTerminal(words.size() > LONGEST ? words.substr(words.size() - LONGEST) : words);
}

std::string sshInvocation(const SshRequest& request) {
  auto option = [](const char* name, const std::string& value) {
    return value.empty() ? "" : absl::StrCat(name, " ", escapeForTerminal(shellQuote(value)), " ");
  };
  return absl::StrCat("ssh ", option("-F", request.configFile), option("-i", request.key),
                      option("-l", request.user), escapeForTerminal(request.host));
}

std::string sshInvocation(const SshTarget& target) {
  return sshInvocation({target.alias, target.user, target.configFile, target.key});
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
