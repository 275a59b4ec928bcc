#include "hub/ssh/openssh/openssh-access.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <errno.h>
#include <kj/common.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "hub/base/subprocess.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t MOST = 64 * 1024;  // bytes of an answer

// What a port that is forwarded to sshd answers.
const Question GREETING{"", "", "SSH-"};

std::vector<std::string> commandFor(const SshTarget& target, Access access,
                                    const Question& question) {
  OpensshUse use;
  std::vector<std::string> more, first;
  if (access == Access::CONNECT) more = {"-W", absl::StrCat(LOOPBACK, ":", target.port)};
  if (access == Access::TERMINAL) more = {"-t", "-t"};
  // Must come before SessionType, or ssh reports a contradiction.
  if (access == Access::SUBSYSTEM) first = {"-s"};
  if (access == Access::LISTEN) {
    use.logLevel = "DEBUG1";
    // ssh uses the first value of a setting.
    first = {"-o", "ClearAllForwardings=no", "-o", "ExitOnForwardFailure=no"};
    for (int port : listeningPorts()) {
      more.insert(more.end(), {"-R", absl::StrCat(LOOPBACK, ":", port, ":", LOOPBACK, ":1")});
    }
  }
  auto argv = opensshCommand(target, use, more);
  argv.insert(argv.begin() + 1, first.begin(), first.end());
  if (access == Access::SUBSYSTEM) argv.push_back("sftp");
  if (!question.command.empty()) argv.push_back(question.command);
  return argv;
}

// A login that asks one question.
class Asker {
 public:
  Asker(const SshTarget& target, Access access, const Question& question)
      : question_(question),
        patience_(2 * target.connectTimeout),
        child_(spawnWithSocket(commandFor(target, access, question))) {
    // One line fits into the socket's buffer.
    (void)!send(child_.stdio, question.input.data(), question.input.size(),
                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (question.inputEnds) shutdown(child_.stdio, SHUT_WR);
  }
  ~Asker() {
    int status;
    waitOrKill(child_.pid, std::chrono::milliseconds(0), status);
  }
  KJ_DISALLOW_COPY(Asker);

  // Reads until there is a verdict; returns nullopt at the end.
  std::optional<Grant> listen(std::chrono::seconds more = std::chrono::seconds(0)) {
    auto until = Clock::now() + patience_ + more;
    std::optional<Grant> soFar;
    std::string output;
    while (output.size() < MOST) {
      auto got = read(output, until);
      auto grant = judgeOutput(question_, question_.lingers ? output + errors() : output);
      if (grant == Grant::GIVEN || (grant && !question_.lingers)) return grant;
      if (got == Got::NOTHING) return soFar ? soFar : Grant::UNKNOWN;
      if (got == Got::END) return soFar;
      if (grant && !soFar) until = Clock::now() + LINGERING;
      soFar = grant;
    }
    return soFar;
  }

  std::optional<int> exitStatus() { return exitStatusOf(child_.pid, patience_); }
  std::string errors() const { return readBack(child_.errors); }
  bool says(const char* words) const { return absl::StrContains(errors(), words); }

 private:
  enum class Got { SOME, END, NOTHING };
  Got read(std::string& output, Clock::time_point until) {
    char buffer[4096];
    for (;;) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
      struct pollfd ready = {child_.stdio, POLLIN, 0};
      int n = left.count() <= 0 ? 0 : poll(&ready, 1, int(left.count()));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Got::NOTHING;
      ssize_t got = recv(child_.stdio, buffer, sizeof(buffer), 0);
      if (got <= 0) return Got::END;
      output.append(buffer, size_t(got));
      return Got::SOME;
    }
  }

  const Question question_;
  const std::chrono::seconds patience_;
  Spawned child_;
};

Grant ask(const SshTarget& target, Access access, const Question& question) {
  Asker asker(target, access, question);
  if (auto heard = asker.listen()) return *heard;
  auto code = asker.exitStatus();
  // sshd prints this only for a refused subsystem.
  if (asker.says("subsystem request failed")) return Grant::REFUSED;
  return code == SSH_FAILED || !code ? Grant::UNKNOWN : Grant::REFUSED;
}

std::optional<Seconds> answersAfter(const SshTarget& target, const std::string& command) {
  auto start = Clock::now();
  Asker asker(target, Access::COMMAND, {command, "", ""});
  auto heard = asker.listen(std::chrono::duration_cast<std::chrono::seconds>(SLEEP));
  if (heard == Grant::UNKNOWN || (!heard && asker.exitStatus() == SSH_FAILED)) return std::nullopt;
  return Clock::now() - start;
}

Grant tryCommands(const SshTarget& target) {
  bool unknown = false;
  for (auto& question : questionsOf(Access::COMMAND)) {
    auto grant = ask(target, Access::COMMAND, question);
    if (grant == Grant::GIVEN) return grant;
    unknown = unknown || grant == Grant::UNKNOWN;
  }
  auto grant = judgeDelay([&](auto& command) { return answersAfter(target, command); });
  return grant == Grant::REFUSED && unknown ? Grant::UNKNOWN : grant;
}

Grant tryTerminal(const SshTarget& target) {
  Asker asker(target, Access::TERMINAL, {"true", "", ""});
  auto heard = asker.listen();
  if (asker.says("PTY allocation request failed")) return Grant::REFUSED;
  bool failed = !heard && asker.exitStatus() == SSH_FAILED;
  return failed || heard == Grant::UNKNOWN ? Grant::UNKNOWN : Grant::GIVEN;
}

Grant tryConnecting(const SshTarget& target) {
  Asker asker(target, Access::CONNECT, GREETING);
  auto heard = asker.listen();
  if (heard == Grant::GIVEN) return *heard;
  if (!heard) asker.exitStatus();
  if (asker.says("administratively prohibited")) return Grant::REFUSED;
  return asker.says("open failed: connect failed") ? Grant::GIVEN : Grant::UNKNOWN;
}

Grant tryListening(const SshTarget& target) {
  // The person's own forwardings would be opened too.
  bool others = std::any_of(target.settings.begin(), target.settings.end(), [](auto& setting) {
    return setting.first == "localforward" || setting.first == "remoteforward" ||
           setting.first == "dynamicforward";
  });
  if (target.key.empty() && others) return Grant::UNKNOWN;
  Asker asker(target, Access::LISTEN, {"true", "", ""});
  if (asker.listen() == Grant::UNKNOWN) return Grant::UNKNOWN;
  asker.exitStatus();
  if (asker.says("remote forward success for")) return Grant::GIVEN;
  return asker.says("remote forward failure for") ? Grant::REFUSED : Grant::UNKNOWN;
}

Grant tryIt(const SshTarget& target, Access access) {
  switch (access) {
    case Access::COMMAND:
      return tryCommands(target);
    case Access::SHELL:
    case Access::SUBSYSTEM:
      return ask(target, access, questionsOf(access).front());
    case Access::TERMINAL:
      return tryTerminal(target);
    case Access::CONNECT:
      return tryConnecting(target);
    case Access::LISTEN:
      return tryListening(target);
    case Access::SOCKETS:
    case Access::AGENT:
    case Access::X11:
      return Grant::UNKNOWN;
  }
  return Grant::UNKNOWN;
}

}  // namespace

Grant tryByOpenssh(const SshTarget& target, Access access,
                   const std::optional<KeyOptions>& options) {
  return decideGrant(access, tryIt(target, access), options);
}

}  // namespace pibrain
