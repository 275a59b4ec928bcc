#include "hub/ssh/openssh-errors.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <vector>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/host-key-failures.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/invocation.h"

namespace pibrain {

namespace {

constexpr absl::string_view DEBUG = "debug1: ";

// Returns "SHA256:…" from a text, or empty.
std::string fingerprintIn(absl::string_view text) {
  auto start = text.find("SHA256:");
  if (start == text.npos) return "";
  return std::string(
      text.substr(start, text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                                "uvwxyz0123456789+/",
                                                start + 7) -
                             start));
}

// Returns what follows `words` in the last line that begins with them; empty: none.
std::string lastBehind(const std::string& errors, absl::string_view words) {
  absl::string_view found;
  for (absl::string_view line : absl::StrSplit(errors, absl::ByAnyChar("\r\n"))) {
    if (absl::ConsumePrefix(&line, words)) found = line;
  }
  return std::string(found);
}

// Returns the host's key, as far as ssh printed it.
ShownKey shownKeyIn(const std::string& errors) {
  auto shown = keyShownTo(errors);
  return shown.fingerprint.empty() ? ShownKey{fingerprintIn(errors), ""} : shown;
}

Failure explainKeyProblem(const SshTarget& target, const std::string& errors) {
  auto known = knownTargetOf(target);
  // ssh could not read the list: "Error checking host key … in revoked keys file …".
  if (absl::StrContains(errors, "in revoked keys file")) {
    return Failure(FailureId::REVOKED_KEYS_UNREADABLE,
                   "RevokedHostKeys names a file that ssh cannot use, and so trusts no host key",
                   absl::StrCat("ssh said: ", stderrTail(errors), "."),
                   {{"Correct the file, or remove the setting from the ssh configuration", ""}});
  }
  if (absl::StrContains(errors, "IDENTIFICATION HAS CHANGED")) {
    return changedHostKey(target, known.own, shownKeyIn(errors));
  }
  // Without debug lines, whose paths may contain the words.
  auto words = withoutTales(errors);
  auto says = [&](const char* some) { return absl::StrContains(words, some); };
  if (says("REVOKED HOST KEY") || says("is marked as revoked") || says("revoked by file")) {
    return revokedHostKey(target, shownKeyIn(errors), "known_hosts or RevokedHostKeys");
  }
  if (auto why = lastBehind(errors, "Certificate invalid: "); !why.empty()) {
    return invalidCertificate(target, why);
  }
  if (auto unread = known.unread(); !unread.empty()) {
    return unreadKnownHosts(target, unread, shownKeyIn(errors));
  }
  // false, because ssh verifies certificates itself.
  auto unknown = unknownHostKey(target, false, shownKeyIn(errors));
  if (known.hasCertAuthority()) {
    unknown.addCause(
        "A @cert-authority line matches, but the host shows no certificate by that authority.");
  }
  return unknown;
}

// Returns whether ssh wrote the line only because of its LogLevel.
bool isTale(absl::string_view line) {
  return absl::StartsWith(line, DEBUG) || absl::StartsWith(line, "Transferred: ") ||
         absl::StartsWith(line, "Bytes per second: ");
}

// Returns the text in the last parentheses of a line.
std::string inParentheses(const std::string& line) {
  auto to = line.rfind(')'), from = line.rfind('(', to);
  if (to == line.npos || from == line.npos) return "";
  return escapeForTerminal(line.substr(from + 1, to - from - 1));
}

// Returns whether a server that accepts these signature algorithms accepts keys of this type, as
// ssh names it.
bool takesType(const std::string& algorithms, const std::string& type) {
  if (algorithms.empty()) return true;
  auto has = [&](const char* name) { return absl::StrContains("," + algorithms, name); };
  if (type == "ED25519") return has(",ssh-ed25519");
  if (type == "ECDSA") return has(",ecdsa-sha2-");
  if (type == "RSA") return has(",ssh-rsa") || has(",rsa-sha2-");
  return true;
}

// Adds the keys that ssh offered, from its output with LogLevel DEBUG1.
void addOffered(const std::vector<std::string>& lines, AuthFailure& authFailure) {
  constexpr absl::string_view OFFER = "debug1: Offering public key: ";
  constexpr absl::string_view TAKES = "server-sig-algs=<";
  std::string algorithms;
  bool taken = false;
  authFailure.offered =
      authFailure.offered || !std::any_of(lines.begin(), lines.end(),
                                          [](auto& line) { return absl::StartsWith(line, DEBUG); });
  for (absl::string_view line : lines) {
    // Newer servers send it again when they know the user.
    if (auto at = line.find(TAKES); at != line.npos && absl::StartsWith(line, DEBUG)) {
      algorithms = std::string(line.substr(at + TAKES.size()));
    }
    // NAME TYPE SHA256:… …
    if (!absl::ConsumePrefix(&line, OFFER)) continue;
    auto print = line.rfind(" SHA256:");
    auto type = print == line.npos || print == 0 ? line.npos : line.rfind(' ', print - 1);
    if (type == line.npos) continue;
    auto name = escapeForTerminal(std::string(line.substr(0, type)));
    auto& unusable = authFailure.unusable;
    if (std::find(unusable.begin(), unusable.end(), name) != unusable.end()) continue;
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

// Adds what ssh wrote about the login, which ended with the line `last`.
AuthFailure withOpenssh(const std::vector<std::string>& lines, const std::string& last,
                        AuthFailure authFailure) {
  addOffered(lines, authFailure);
  authFailure.tooMany |= saysTooMany(last);
  // USER@HOST: Permission denied (METHODS).
  if (absl::StrContains(last, "Permission denied (")) authFailure.methods = inParentheses(last);
  authFailure.said = stderrTail(last);
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

// Explains common failures.
std::optional<Failure> explainUsual(const SshTarget& target, const std::string& errors,
                                    const AuthFailure& authFailure) {
  std::vector<std::string> all = absl::StrSplit(errors, absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  // The last line, since the server's banner before it may contain anything.
  auto lines = all;
  std::erase_if(lines, isTale);
  if (lines.size() > 2) lines.erase(lines.begin(), lines.end() - 2);
  auto last = absl::StrJoin(lines, "\n");
  auto says = [&](const char* words) { return absl::StrContains(last, words); };
  auto said = absl::StrCat("ssh said: ", stderrTail(errors));
  auto withWords = [&](Failure failure) { return failure.addCause(said + "."); };
  // A host key error ends ssh before any banner.
  if (says("ost key verification failed")) return explainKeyProblem(target, errors);
  if (says("Permission denied (") || saysTooMany(last)) {
    return permissionDenied(target, withOpenssh(all, last, authFailure));
  }
  if (says("Could not resolve hostname")) {
    return unresolvedName(target, said);
  }
  if (says("Connection refused")) return withWords(connectionRefused(target));
  if (says("during banner exchange") && says("timed out")) {
    return withWords(tookTooLong(target, SshStep::GREETING));
  }
  // For an established connection, ssh says "Connection to HOST port PORT timed out".
  if (says("timed out")) {
    return withWords(says("onnection to ") ? tookTooLong(target, SshStep::LOGIN)
                                           : noAnswer(target));
  }
  if (says("No route to host") || says("is unreachable")) {
    return unreachable(target, said);
  }
  if (!target.bindAddress.empty() &&
      (says("Cannot assign requested address") || says("getaddrinfo: ") || says("bind "))) {
    return withWords(unusableBindAddress(target));
  }
  if (says("Unable to negotiate")) return nothingInCommon(target, said);
  if (says("Protocol major versions differ")) {
    // debug1: Remote protocol version 1.5, remote software version …
    auto version = lastBehind(errors, "debug1: Remote protocol version ");
    auto greeting = "SSH-" + version.substr(0, version.find(','));
    return tooOldServer(target, version.empty() ? stderrTail(last) : escapeForTerminal(greeting));
  }
  if (auto instead = insteadOfGreeting(target, errors))
    return withWords(noGreeting(target, *instead));
  return std::nullopt;
}

}  // namespace

std::string withoutTales(const std::string& errors) {
  // The command's output may lack a newline.
  constexpr char BEHIND[] = "debug1: client_input_channel_req: channel 0 rtype ";
  std::vector<std::string> lines = absl::StrSplit(errors, '\n');
  std::erase_if(lines, isTale);
  for (auto& line : lines) line.erase(std::min(line.find(BEHIND), line.size()));
  return absl::StrJoin(lines, "\n");
}

std::optional<std::string> insteadOfGreeting(const SshTarget& target, const std::string& errors) {
  // With a proxy, the proxy may have ended.
  if (!target.proxyJump.empty() || !target.proxyCommand.empty()) return std::nullopt;
  constexpr absl::string_view STEP = "kex_exchange_identification: ", LINE = "banner line ";
  constexpr absl::string_view RESET = "Connection reset by peer";
  bool failed = false, established = false, greeted = false;
  std::string greeting;
  for (absl::string_view line : absl::StrSplit(errors, absl::ByAnyChar("\r\n"))) {
    // A connection can be reset before ssh considers it established,
    failed |= absl::StartsWith(line, "ssh: connect to host ") && absl::EndsWith(line, RESET);
    // or after ssh has sent its greeting.
    greeted |= absl::StartsWith(line, "debug1: Remote protocol version ");
    established |= absl::StartsWith(line, "debug1: Connection established.");
    failed |= established && !greeted && absl::StartsWith(line, "Connection reset by ");
    bool debug = absl::ConsumePrefix(&line, DEBUG);
    if (!absl::ConsumePrefix(&line, STEP)) continue;
    failed |= !debug;
    // "banner line NUMBER: WORDS", or what is wrong with a line.
    if (!absl::ConsumePrefix(&line, LINE) || !greeting.empty()) continue;
    auto colon = line.find(": ");
    greeting = colon == line.npos         ? NO_TEXT
               : line.size() == colon + 2 ? "\n"
                                          : std::string(line.substr(colon + 2));
  }
  return failed ? std::optional(greeting) : std::nullopt;
}

Failure explainOpenssh(const SshTarget& target, const std::string& errors,
                       const AuthFailure& authFailure) {
  if (auto usual = explainUsual(target, errors, authFailure)) return *usual;
  auto said = stderrTail(errors);
  return Failure(FailureId::SSH_CLIENT_FAILED, "ssh could not connect to " + addressOf(target),
                 said.empty() ? "ssh said nothing." : absl::StrCat("ssh said: ", said, "."),
                 {{"Check how far ssh gets", sshInvocation(target) + " -v true"}});
}

std::string stderrTail(const std::string& errors) {
  std::vector<std::string> lines =
      absl::StrSplit(withoutTales(errors), absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  // What quotes it names ssh.
  for (auto& line : lines) line = std::string(absl::StripPrefix(line, "ssh: "));
  // The last lines matter: banners such as that for a changed key come before.
  constexpr size_t LAST = 3;
  if (lines.size() > LAST) lines.erase(lines.begin(), lines.end() - LAST);
  auto words = withoutFullStop(absl::StrJoin(lines, " / "));
  constexpr size_t LONGEST = 400;
  return escapeForTerminal(words.size() > LONGEST ? words.substr(words.size() - LONGEST) : words);
}

}  // namespace pibrain
