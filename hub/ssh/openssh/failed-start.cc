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

Failure explainProxy(const SshTarget& target, const std::string& errors) {
  if (!target.proxyJump.empty() && absl::StrContains(errors, "stdio forwarding failed")) {
    return Failure(
        FailureId::PROXY_FAILED,
        absl::StrCat("ProxyJump: ", escapeForTerminal(lastHop(target).alias), " cannot connect to ",
                     escapeForTerminal(target.host), " port ", target.port),
        absl::StrCat("ssh said: ", stderrTail(errors), "."),
        {{"Check that the spoke is up, and that this is its name there", ""}});
  }
  if (!target.proxyJump.empty()) {
    auto hop = explainFailedStart(lastHop(target), errors, AuthFailure());
    return Failure(
        hop.id(),
        absl::StrCat("ProxyJump ", escapeForTerminal(target.proxyJump), ": ", hop.summary()),
        hop.cause(), hop.fixes());
  }
  auto said = stderrTail(errors);
  auto command = escapeForTerminal(expandProxyTokens(target.proxyCommand, target));
  Failure failure(FailureId::PROXY_FAILED,
                  absl::StrCat("the ProxyCommand of ", escapeForTerminal(target.alias),
                               " ended before the SSH server's greeting came through it"),
                  "", {{"Run it by hand: it must print the SSH server's greeting", command}});
  return said.empty() ? failure : failure.addCause(absl::StrCat("It said: ", said, "."));
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
