#include "hub/ssh/openssh/failed-start.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <vector>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/expand.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/openssh/login-watch.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

// ssh's message if the server opens no session.
constexpr char NO_SESSION[] = "channel 0: open failed: ";

// Returns whether ssh failed at the proxy, not at the target. An ssh that is a proxy itself prints
// no steps.
bool failedOnTheWay(const SshTarget& target, const std::string& errors) {
  if (!isProxied(target)) return false;
  bool tells = absl::StrContains(errors, "debug1: Executing proxy command: ");
  return tells ? stepIn(errors) <= SshStep::GREETING : absl::StrContains(errors, "UNKNOWN port ");
}

// Returns the proxy's part of the output, without ssh's own last lines, which only say that it
// ended.
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

Failure explainProxy(const SshTarget& target, const std::string& errors) {
  if (!target.proxyJump.empty() && absl::StrContains(errors, "stdio forwarding failed")) {
    return Failure(
        FailureId::PROXY_FAILED,
        absl::StrCat("ProxyJump: ", escapeForTerminal(lastHop(target).alias), " cannot connect to ",
                     escapeForTerminal(target.host), " port ", target.port),
        absl::StrCat("ssh said: ", stderrTail(errors), "."),
        {{"Check that the spoke is up, and that the last jump host knows it under this name", ""}});
  }
  if (!target.proxyJump.empty()) {
    AuthFailure atHop;
    atHop.of = LoginOf::HOP;
    auto hop = explainFailedStart(lastHop(target), errors, atHop);
    return Failure(
        hop.id(),
        absl::StrCat("ProxyJump ", escapeForTerminal(target.proxyJump), ": ", hop.summary()),
        hop.cause(), hop.fixes());
  }
  auto said = stderrTail(errors);
  auto command = escapeForTerminal(expandProxyTokens(target.proxyCommand, target));
  Failure failure(
      FailureId::PROXY_FAILED,
      absl::StrCat("the ProxyCommand of ", escapeForTerminal(target.alias),
                   " ended before the SSH server's greeting came through it"),
      "", {{"Run the ProxyCommand by hand; it must print the SSH server's greeting", command}});
  return said.empty() ? failure : failure.addCause(absl::StrCat("The proxy said: ", said, "."));
}

Failure explainFailedStart(const SshTarget& target, const std::string& errors,
                           const AuthFailure& authFailure) {
  if (auto after = errorsAfterLogin(target, errors)) {
    if (absl::StrContains(*after, NO_SESSION)) return noSession(target, stderrTail(*after));
    return brokeOff(target, SshStep::COMMAND,
                    after->empty() ? "ssh said nothing" : "ssh said: " + stderrTail(*after));
  }
  if (failedOnTheWay(target, errors)) {
    return explainProxy(target, wordsOfProxy(errors));
  }
  return explainOpenssh(target, errors, authFailure);
}

}  // namespace pibrain
