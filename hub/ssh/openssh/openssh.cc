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

#include "common/text/text.h"
#include "hub/base/failure.h"
#include "hub/link/process-connection.h"
#include "hub/ssh/openssh/openssh-access.h"
#include "hub/ssh/openssh/openssh-command.h"
#include "hub/ssh/turned-away.h"

namespace pibrain {

namespace {

// With LogLevel DEBUG1, ssh says which steps it has done, and when it has logged in.
constexpr char LOG_LEVEL[] = "DEBUG1";
constexpr char AUTHENTICATED[] = "Authenticated to ";

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

// Of what came after the login, what the command behind ssh wrote.
std::string withoutWordsOfSsh(const std::string& errors) {
  std::vector<std::string> lines = absl::StrSplit(errors, '\n');
  std::erase_if(lines, [](auto& line) {
    return isDebugMessage(line) || line.starts_with("Transferred: ") ||
           line.starts_with("Bytes per second: ");
  });
  return absl::StrJoin(lines, "\n");
}

// Whether ssh, as it ended, says that its connection did.
bool wasCut(const std::string& errors) {
  for (auto* words :
       {"closed by remote host", "Connection reset", "Broken pipe", "not responding"}) {
    if (absl::StrContains(errors, words)) return true;
  }
  return false;
}

class OpensshConnection : public ProcessConnection {
 public:
  OpensshConnection(const SshTarget& target, Spawned child, std::shared_ptr<RateLimiter> limiter,
                    kj::AsyncIoContext& io)
      : ProcessConnection(kj::mv(child), std::move(limiter), io), target_(target) {}

  // Leaves of standard error what the command behind ssh wrote.
  Farewell farewell(kj::WaitScope& waitScope) override {
    auto result = ProcessConnection::farewell(waitScope);
    auto end = endOfLogin(target_, result.errors);
    if (end != std::string::npos) result.errors.erase(0, end);
    result.errors = withoutWordsOfSsh(result.errors);
    if (result.exitStatus == SSH_FAILED && wasCut(result.errors)) {
      result.cutOff = ownWords(result.errors);
      result.errors.clear();
    }
    return result;
  }

  // By connections of its own: this one is for one command.
  Grant grants(Access access, kj::AsyncIoContext& io) override {
    if (!agentEnded_) keyOptions_ = keyOptionsIn(ProcessConnection::farewell(io.waitScope).errors);
    agentEnded_ = true;
    return tryByOpenssh(target_, access, keyOptions_);
  }

 private:
  SshTarget target_;
  bool agentEnded_ = false;
  std::optional<KeyOptions> keyOptions_;
};

// Whether it was not the target that ssh failed at, but the way there.
bool failedOnTheWay(const std::string& errors) {
  return absl::StrContains(errors, "UNKNOWN port 65535") ||
         absl::StrContains(errors, "kex_exchange_identification: Connection") ||
         absl::StrContains(errors, "kex_exchange_identification: read: ");
}

std::string explainFailedLogin(const SshTarget& target, const std::string& errors,
                               const Denial& denial) {
  if (target.proxyJump.empty() || !failedOnTheWay(errors)) {
    return explainOpenssh(target, errors, denial);
  }
  auto hop = lastHop(target);
  return absl::StrCat("ssh could not get to ", escapeForTerminal(target.alias),
                      " through ProxyJump ", escapeForTerminal(target.proxyJump),
                      " (it said: ", ownWords(errors), "). Try each hop by itself with '",
                      sshInvocation(hop), hop.port == 22 ? "" : absl::StrCat(" -p ", hop.port),
                      " true', and then '", sshInvocation(target), " true'.");
}

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

// Throws what it means that ssh ended by itself before it had logged in.
[[noreturn]] void explainEnd(const SshTarget& target, const std::string& errors,
                             const Denial& denial) {
  auto instead = insteadOfGreeting(target, errors);
  if (instead && turnsAway(*instead)) throw TurnedAway{turnedAway(target, *instead)};
  throw Failure(explainFailedLogin(target, errors, denial));
}

// Returns when ssh has logged in, or the command behind it has said something or ended: a
// connection that was there before, and is shared, logs in no more. Throws Failure or TurnedAway if
// ssh itself fails before, or a step takes longer than ConnectTimeout, which ssh counts to the
// server's greeting only.
void waitForLogin(const SshTarget& target, const Spawned& ssh, const Denial& denial) {
  using std::chrono::steady_clock;
  constexpr int GLANCE = 5;  // milliseconds between two looks at what ssh wrote
  constexpr std::chrono::milliseconds MOMENT{500};
  const std::chrono::seconds patience(target.connectTimeout);
  auto step = SshStep::NAME;
  auto deadline = steady_clock::now() + patience;
  for (;;) {
    struct pollfd output = {ssh.stdio.get(), POLLIN, 0};
    bool said = poll(&output, 1, GLANCE) > 0;
    auto errors = readBack(ssh.errors);
    if (endOfLogin(target, errors) != std::string::npos) return;
    char byte;
    if (said && recv(ssh.stdio, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) return;
    if (auto now = stepIn(errors); now > step) {
      step = now;
      deadline = steady_clock::now() + patience;
    }
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
    if (said) {
      // It ends a moment after its output, be it for that it took too long.
      if (exitStatusOf(ssh.pid, std::max(left, MOMENT)) != SSH_FAILED) return;
      explainEnd(target, readBack(ssh.errors), denial);
    }
    if (left.count() <= 0) {
      auto words = ownWords(errors);
      throw Failure(
          absl::StrCat(tookTooLong(target, step), words.empty() ? "" : " ssh said: ", words));
    }
  }
}

}  // namespace

std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors) {
  auto end = endOfLogin(target, errors);
  if (end == std::string::npos) return std::nullopt;
  return withoutWordsOfSsh(errors.substr(end));
}

kj::Own<Connection> startOpenssh(const SshTarget& target, const KnownTarget& known,
                                 const std::string& command, const ConnectOptions& options,
                                 const Denial& denial, kj::AsyncIoContext& io) {
  auto argv = opensshCommand(target, {LOG_LEVEL});
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
    waitForLogin(target, child, denial);
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
  auto errors = readBack(child_.errors);
  if (!target_.proxyJump.empty() && absl::StrContains(errors, "stdio forwarding failed")) {
    return absl::StrCat("ProxyJump: ", escapeForTerminal(lastHop(target_).alias),
                        " cannot connect to ", escapeForTerminal(target_.host), " port ",
                        target_.port, " (ssh said: ", ownWords(errors),
                        "). Is the spoke up, and is that its name there?");
  }
  if (!target_.proxyJump.empty()) {
    return absl::StrCat("ProxyJump ", escapeForTerminal(target_.proxyJump), ": ",
                        explainOpenssh(lastHop(target_), errors, Denial()));
  }
  return absl::StrCat("the ProxyCommand of ", escapeForTerminal(target_.alias), ", '",
                      escapeForTerminal(expandProxyTokens(target_.proxyCommand, target_)),
                      "', ended with exit status ", *status,
                      errors.empty() ? "" : absl::StrCat(" (it said: ", ownWords(errors), ")"),
                      ". Run it by hand: it should print the SSH server's greeting.");
}

}  // namespace pibrain
