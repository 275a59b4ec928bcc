#include "hub/ssh/openssh/failed-start.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <vector>

#include "common/text/escape.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/expand.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/openssh/login-watch.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

// ssh says that there is no session.
constexpr char NO_SESSION[] = "channel 0: open failed: ";

// Whether it was not the target that ssh failed at, but the way there. An ssh that is a way itself
// tells nothing of its steps.
bool failedOnTheWay(const SshTarget& target, const std::string& errors) {
  if (!isProxied(target)) return false;
  bool tells = absl::StrContains(errors, "debug1: Executing proxy command: ");
  return tells ? stepIn(errors) <= SshStep::GREETING : absl::StrContains(errors, "UNKNOWN port ");
}

// Of what an ssh wrote that failed there, what the way says: its own lines, the last ones, say that
// it ended.
std::string wordsOfProxy(const std::string& errors) {
  std::vector<std::string> lines =
      absl::StrSplit(withoutTales(errors), absl::ByAnyChar("\r\n"), absl::SkipEmpty());
  for (auto* own : {"UNKNOWN port ", "kex_exchange_identification: "}) {
    if (!lines.empty() && absl::StrContains(lines.back(), own)) lines.pop_back();
  }
  return absl::StrJoin(lines, "\n");
}

}  // namespace

bool isProxied(const SshTarget& target) {
  return !target.proxyCommand.empty() || !target.proxyJump.empty();
}

std::string explainProxy(const SshTarget& target, const std::string& errors,
                         std::optional<int> status) {
  if (!target.proxyJump.empty() && absl::StrContains(errors, "stdio forwarding failed")) {
    return absl::StrCat("ProxyJump: ", escapeForTerminal(lastHop(target).alias),
                        " cannot connect to ", escapeForTerminal(target.host), " port ",
                        target.port, " (ssh said: ", stderrTail(errors),
                        "). Is the spoke up, and is that its name there?");
  }
  if (!target.proxyJump.empty()) {
    return absl::StrCat("ProxyJump ", escapeForTerminal(target.proxyJump), ": ",
                        explainFailedStart(lastHop(target), errors, AuthFailure()));
  }
  auto said = stderrTail(errors);
  return absl::StrCat("the ProxyCommand of ", escapeForTerminal(target.alias), ", '",
                      escapeForTerminal(expandProxyTokens(target.proxyCommand, target)),
                      "', ended ",
                      status ? absl::StrCat("with exit status ", *status)
                             : "before the SSH server's greeting came through it",
                      said.empty() ? "" : absl::StrCat(" (it said: ", said, ")"),
                      ". Run it by hand: it should print the SSH server's greeting.");
}

std::string explainFailedStart(const SshTarget& target, const std::string& errors,
                               const AuthFailure& authFailure) {
  if (auto after = errorsAfterLogin(target, errors)) {
    if (absl::StrContains(*after, NO_SESSION)) return noSession(target, stderrTail(*after));
    return brokeOff(target, SshStep::COMMAND,
                    after->empty() ? "ssh said nothing" : "ssh said: " + stderrTail(*after));
  }
  if (failedOnTheWay(target, errors)) {
    return explainProxy(target, wordsOfProxy(errors), std::nullopt);
  }
  return explainOpenssh(target, errors, authFailure);
}

}  // namespace pibrain
