#include "hub/ssh/openssh/openssh.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/link/process-connection.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/openssh/openssh-access.h"
#include "hub/ssh/openssh/openssh-command.h"
#include "hub/ssh/turned-away.h"

namespace pibrain {

namespace {

constexpr char AUTHENTICATED[] = "Authenticated to ";
// When the session is open, and of a connection that is shared.
constexpr char BEGINS[] = "debug1: Sending command: ";
constexpr char SHARED[] = "debug1: mux_client_request_session: master session id: ";
// ssh says that there is no session.
constexpr char NO_SESSION[] = "channel 0: open failed: ";

// The step that begins when ssh says this, which it may leave out.
struct StepBegins {
  const char* words;
  SshStep step;
};
constexpr StepBegins STEPS[] = {
    {"debug1: Executing proxy command: ", SshStep::GREETING},
    {"debug1: Connecting to ", SshStep::TCP},
    {"debug1: Connection established.", SshStep::GREETING},
    {"debug1: Remote protocol version ", SshStep::KEY_EXCHANGE},
    {"debug1: Server host key: ", SshStep::HOST_KEY},
    {"debug1: SSH2_MSG_SERVICE_ACCEPT received", SshStep::LOGIN},
    {AUTHENTICATED, SshStep::COMMAND},
};

std::vector<std::string> proxyCommand(const SshTarget& target) {
  if (!target.proxyJump.empty()) {
    return jumpCommand(target);
  }
  const char* shell = getenv("SHELL");
  return {shell == nullptr || *shell == '\0' ? "/bin/sh" : shell, "-c",
          "exec " + expandProxyTokens(target.proxyCommand, target)};
}

// Where, in what ssh wrote, the line that it logged in ends; npos: it did not. A banner of the
// server may come before.
size_t endOfLogin(const SshTarget& target, const std::string& errors) {
  auto line = absl::StrCat(AUTHENTICATED, target.host, " (");
  for (size_t start = 0; start < errors.size();) {
    size_t end = std::min(errors.find('\n', start), errors.size());
    if (errors.compare(start, line.size(), line) == 0) return std::min(end + 1, errors.size());
    start = end + 1;
  }
  return std::string::npos;
}

class OpensshConnection : public ProcessConnection {
 public:
  OpensshConnection(const SshTarget& target, Spawned child, std::shared_ptr<RateLimiter> limiter,
                    kj::AsyncIoContext& io)
      : ProcessConnection(kj::mv(child), std::move(limiter), io), target_(target) {}

  // Leaves of standard error what the command behind ssh wrote.
  ExitInfo exitInfo(kj::WaitScope& waitScope) override {
    auto result = ProcessConnection::exitInfo(waitScope);
    auto end = endOfLogin(target_, result.errors);
    if (end != std::string::npos) result.errors.erase(0, end);
    result.errors = withoutTales(result.errors);
    if (result.exitStatus == SSH_FAILED && wasCut(result.errors)) {
      result.cutOff = stderrTail(result.errors);
      result.errors.clear();
    }
    return result;
  }

  // By connections of its own: this one is for one command.
  Grant grants(Access access, kj::AsyncIoContext& io) override {
    if (!agentEnded_) keyOptions_ = keyOptionsIn(ProcessConnection::exitInfo(io.waitScope).errors);
    agentEnded_ = true;
    return tryByOpenssh(target_, access, keyOptions_);
  }

 private:
  SshTarget target_;
  bool agentEnded_ = false;
  std::optional<KeyOptions> keyOptions_;
};

// The latest step that ssh has begun.
SshStep stepIn(const std::string& errors) {
  auto latest = SshStep::NAME;
  for (absl::string_view line : absl::StrSplit(errors, '\n')) {
    for (auto& [words, step] : STEPS) {
      if (step > latest && absl::StartsWith(line, words)) latest = step;
    }
  }
  return latest;
}

bool isProxied(const SshTarget& target) {
  return !target.proxyCommand.empty() || !target.proxyJump.empty();
}

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

// Why the way there ended before the target's greeting: `errors` is what it wrote.
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

// Throws why ssh ended by itself before the command began.
[[noreturn]] void explainEnd(const SshTarget& target, const std::string& errors,
                             const AuthFailure& authFailure) {
  auto why = explainFailedStart(target, errors, authFailure);
  auto instead = insteadOfGreeting(target, errors);
  if (instead && turnsAway(*instead)) throw TurnedAway{why};
  throw Failure(why);
}

// Returns when the command behind ssh begins, or has said something or ended. Throws Failure or
// TurnedAway if ssh itself fails before, or a step takes too long.
void waitForStart(const SshTarget& target, const Spawned& ssh, const AuthFailure& authFailure) {
  using std::chrono::milliseconds;
  constexpr int GLANCE = 5;  // milliseconds between two looks at what ssh wrote
  // For ssh to end once its output has.
  constexpr milliseconds END{1000};
  LoginWatch watch(target);
  for (;;) {
    struct pollfd output = {ssh.stdio.get(), POLLIN, 0};
    bool said = poll(&output, 1, GLANCE) > 0;
    auto errors = readBack(ssh.errors);
    if (watch.begun(errors)) return;
    char byte;
    if (said && recv(ssh.stdio, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) return;
    if (said) {
      if (exitStatusOf(ssh.pid, std::max(watch.left(), END)) != SSH_FAILED) return;
      errors = readBack(ssh.errors);
      if (watch.begun(errors)) return;
      explainEnd(target, errors, authFailure);
    }
    if (watch.left().count() <= 0) throw Failure(watch.tookTooLong(errors));
  }
}

}  // namespace

std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors) {
  auto end = endOfLogin(target, errors);
  if (end == std::string::npos) return std::nullopt;
  return withoutTales(errors.substr(end));
}

bool wasCut(const std::string& errors) {
  for (auto* words :
       {"closed by remote host", "Connection reset", "Broken pipe", "not responding"}) {
    if (absl::StrContains(errors, words)) return true;
  }
  return false;
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

LoginWatch::LoginWatch(const SshTarget& target)
    : target_(target),
      deadline_(std::chrono::steady_clock::now() + std::chrono::seconds(target.connectTimeout)) {}

bool LoginWatch::begun(const std::string& errors) {
  for (absl::string_view line : absl::StrSplit(errors, '\n')) {
    if (absl::StartsWith(line, BEGINS) || absl::StartsWith(line, SHARED)) return true;
  }
  if (auto now = stepIn(errors); now > step_) {
    step_ = now;
    deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(target_.connectTimeout);
  }
  return false;
}

std::chrono::milliseconds LoginWatch::left() const {
  return std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
}

std::string LoginWatch::tookTooLong(const std::string& errors) const {
  auto words = stderrTail(errors);
  return absl::StrCat(pibrain::tookTooLong(target_, step_),
                      words.empty() ? "" : absl::StrCat(" (ssh said: ", words, ")"));
}

kj::Own<Connection> startOpenssh(const SshTarget& target, const KnownTarget& known,
                                 const std::string& command, const SshOptions& options,
                                 const AuthFailure& authFailure, kj::AsyncIoContext& io) {
  auto argv = opensshCommand(target, {TELLING_LOG_LEVEL});
  argv.push_back(command);
  auto child = spawnWithSocket(argv);
  bool reached = false;
  KJ_DEFER({
    int status;
    if (!reached) waitOrKill(child.pid, std::chrono::milliseconds(0), status);
  });
  {
    // However the login ends.
    KJ_DEFER({
      auto warning = newKeyBySsh(target, known, readBack(child.errors));
      if (!warning.empty()) options.warn(warning);
    });
    waitForStart(target, child, authFailure);
  }
  auto connection = kj::heap<OpensshConnection>(target, kj::mv(child), options.limiter, io);
  reached = true;
  return connection;
}

Proxy::Proxy(const SshTarget& target)
    : target_(target), child_(spawnWithSocket(proxyCommand(target))) {
  fcntl(child_.stdio, F_SETFL, fcntl(child_.stdio, F_GETFL) | O_NONBLOCK);
}

Proxy::~Proxy() noexcept(false) {
  int status;
  waitOrKill(child_.pid, std::chrono::milliseconds(0), status);
}

std::string Proxy::explain() {
  // It is given a moment to end by itself.
  auto status = exitStatusOf(child_.pid, std::chrono::milliseconds(500));
  if (!status) return "";
  return explainProxy(target_, readBack(child_.errors), status);
}

}  // namespace pibrain
