#include "hub/ssh/openssh/openssh-connection.h"

#include <absl/strings/match.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "hub/base/failure.h"
#include "hub/link/process-connection.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/openssh/failed-start.h"
#include "hub/ssh/openssh/login-watch.h"
#include "hub/ssh/openssh/openssh-access.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

class OpensshConnection : public ProcessConnection {
 public:
  OpensshConnection(const SshTarget& target, Spawned child, std::shared_ptr<RateLimiter> limiter,
                    kj::AsyncIoContext& io)
      : ProcessConnection(kj::mv(child), std::move(limiter), io), target_(target) {}

  uint32_t startSeconds() const override { return target_.connectTimeout; }

  // Keeps only the command's part of standard error.
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

  // Uses separate connections, since this one is for one command.
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

// Throws the failure of an ssh that ended before its command started.
[[noreturn]] void explainEnd(const SshTarget& target, const std::string& errors,
                             const AuthFailure& authFailure) {
  throw explainFailedStart(target, errors, authFailure);
}

// Returns when ssh's command starts, prints something, or ends. Throws Failure if ssh itself fails
// before, or a step takes too long.
void waitForStart(const SshTarget& target, const Spawned& ssh, const AuthFailure& authFailure) {
  using std::chrono::milliseconds;
  constexpr int GLANCE = 5;  // milliseconds between two reads of what ssh wrote
  // How long ssh may take to end after its output has ended.
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
    if (watch.left().count() <= 0) throw watch.tookTooLong(errors);
  }
}

}  // namespace

bool wasCut(const std::string& errors) {
  for (auto* words :
       {"closed by remote host", "Connection reset", "Broken pipe", "not responding"}) {
    if (absl::StrContains(errors, words)) return true;
  }
  return false;
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
    // Also if the login fails.
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

}  // namespace pibrain
