#include "hub/ssh/openssh/openssh-access.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <errno.h>
#include <kj/common.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "hub/base/subprocess.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

constexpr size_t MOST = 64 * 1024;  // bytes of an answer

std::vector<std::string> commandFor(const SshTarget& target, Access access,
                                    const Question& question) {
  std::vector<std::string> more;
  if (access == Access::FORWARDING) more = {"-W", absl::StrCat("127.0.0.1:", FORWARDED_PORT)};
  if (access == Access::TERMINAL) more = {"-t", "-t"};
  auto argv = opensshCommand(target, OpensshUse(), more);
  if (access == Access::COMMAND || access == Access::TERMINAL) argv.push_back(question.command);
  if (access == Access::SUBSYSTEM) {
    // Before SessionType, or ssh takes it for a contradiction.
    argv.insert(argv.begin() + 1, "-s");
    argv.push_back("sftp");
  }
  return argv;
}

// Reads on until there is a verdict, the end, or `until`.
std::optional<Grant> listen(int fd, Access access, const Question& question,
                            std::chrono::steady_clock::time_point until) {
  std::string output;
  char buffer[4096];
  while (output.size() < MOST) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    struct pollfd ready = {fd, POLLIN, 0};
    int n = left.count() <= 0 ? 0 : poll(&ready, 1, int(left.count()));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Grant::UNKNOWN;
    ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    if (got <= 0) return std::nullopt;
    output.append(buffer, size_t(got));
    if (auto grant = judgeOutput(access, question, output)) return grant;
  }
  return std::nullopt;
}

}  // namespace

Grant tryByOpenssh(const SshTarget& target, Access access) {
  auto question = makeQuestion();
  auto child = spawnWithSocket(commandFor(target, access, question));
  int status;
  KJ_DEFER(waitOrKill(child.pid, std::chrono::milliseconds(0), status));
  // What does not fit into the socket's buffer is not sent; this is a line.
  auto input = inputOf(access, question);
  (void)!send(child.stdio, input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (access != Access::SUBSYSTEM) shutdown(child.stdio, SHUT_WR);
  std::chrono::seconds patience(2 * target.connectTimeout);
  auto heard = listen(child.stdio, access, question, std::chrono::steady_clock::now() + patience);
  auto errors = readBack(child.errors);
  auto says = [&](const char* words) { return absl::StrContains(errors, words); };
  if (access == Access::FORWARDING) {
    if (says("administratively prohibited")) return Grant::REFUSED;
    return says("open failed: connect failed") ? Grant::GIVEN : Grant::UNKNOWN;
  }
  if (access == Access::TERMINAL) {
    if (says("PTY allocation request failed")) return Grant::REFUSED;
    bool failed = !heard && exitStatusOf(child.pid, patience) == SSH_FAILED;
    return failed || heard == Grant::UNKNOWN ? Grant::UNKNOWN : Grant::GIVEN;
  }
  if (heard) return *heard;
  auto code = exitStatusOf(child.pid, patience);
  // sshd refuses a subsystem so, and nothing else.
  if (says("subsystem request failed")) return Grant::REFUSED;
  return code == SSH_FAILED || !code ? Grant::UNKNOWN : Grant::REFUSED;
}

}  // namespace pibrain
