#include "hub/ssh/openssh.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <chrono>

#include "common/text.h"
#include "hub/failure.h"
#include "hub/process-connection.h"

namespace pibrain {

namespace {

constexpr int SSH_FAILED = 255;  // ssh(1), EXIT STATUS

// ssh with the options that every use of it shares.
std::vector<std::string> sshCommand(const SshTarget& target, const char* logLevel) {
  auto ssh = findProgram("ssh");
  if (!ssh) {
    throw Failure(absl::StrCat(
        "an ssh client is needed for ", escapeForTerminal(target.alias),
        ", and there is none on PATH. Install one: 'sudo apt install openssh-client'."));
  }
  std::vector<std::string> command{*ssh, "-T", "-a", "-x"};
  if (!target.configFile.empty()) command.insert(command.end(), {"-F", target.configFile});
  for (auto& option : {std::string("BatchMode=yes"), std::string("ClearAllForwardings=yes"),
                       std::string("PermitLocalCommand=no"), std::string("RemoteCommand=none"),
                       // A master of ours would live on in the background.
                       std::string("ControlMaster=no"), absl::StrCat("LogLevel=", logLevel),
                       absl::StrCat("ConnectTimeout=", target.connectTimeout)}) {
    command.insert(command.end(), {"-o", option});
  }
  return command;
}

class OpensshConnection : public ProcessConnection {
 public:
  OpensshConnection(const SshTarget& target, Spawned child, std::shared_ptr<RateLimiter> limiter,
                    Denial denial, kj::AsyncIoContext& io)
      : ProcessConnection(kj::mv(child), std::move(limiter), io),
        target_(target),
        denial_(std::move(denial)) {}

  Farewell farewell(kj::WaitScope& waitScope) override {
    auto result = ProcessConnection::farewell(waitScope);
    if (result.exitStatus == SSH_FAILED) {
      result.transportFailure = explainOpenssh(target_, result.errors, denial_);
    }
    return result;
  }

 private:
  SshTarget target_;
  Denial denial_;
};

struct Hop {
  std::string user, host, port;  // empty: as the ssh configuration has it
};

// [user@]host[:port], or an ssh:// URI of these (ssh_config(5), ProxyJump).
Hop parseHop(std::string text) {
  Hop hop;
  if (text.starts_with("ssh://")) text = text.substr(6);
  if (auto at = text.rfind('@'); at != std::string::npos) {
    hop.user = text.substr(0, at);
    text = text.substr(at + 1);
  }
  auto colon = text.rfind(':');
  bool bracketed = text.starts_with('[');
  // An IPv6 address has colons of its own.
  bool hasPort =
      colon != std::string::npos && (bracketed ? text[colon - 1] == ']' : text.find(':') == colon);
  if (hasPort) {
    hop.port = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  if (bracketed && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  hop.host = text;
  return hop;
}

// The last hop of ProxyJump is asked to connect to the target; the others are on the way to it.
Hop lastHop(const SshTarget& target) {
  return parseHop(target.proxyJump.substr(target.proxyJump.rfind(',') + 1));
}

std::string hopsBefore(const SshTarget& target) {
  auto comma = target.proxyJump.rfind(',');
  return comma == std::string::npos ? "" : target.proxyJump.substr(0, comma);
}

// As ssh itself makes of ProxyJump.
std::vector<std::string> jumpCommand(const SshTarget& target) {
  auto hop = lastHop(target);
  // Why the hop could not connect to the target is but informative to ssh.
  auto command = sshCommand(target, "INFO");
  auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) command.insert(command.end(), {option, value});
  };
  add("-J", hopsBefore(target));
  add("-l", hop.user);
  add("-p", hop.port);
  add("-W", absl::StrCat("[", target.host, "]:", target.port));
  command.insert(command.end(), {"--", hop.host});
  return command;
}

// For messages about the last hop.
SshTarget hopTarget(const SshTarget& target) {
  auto hop = lastHop(target);
  auto resolved = resolveSsh(hop.user, hop.host, target.configFile);
  if (resolved.ok()) {
    uint32_t port;
    if (absl::SimpleAtoi(hop.port, &port)) resolved->port = uint16_t(port);
    return *resolved;
  }
  SshTarget plain;
  plain.alias = plain.host = hop.host;
  plain.user = hop.user;
  return plain;
}

std::vector<std::string> proxyCommand(const SshTarget& target) {
  if (!target.proxyJump.empty()) return jumpCommand(target);
  const char* shell = getenv("SHELL");
  return {shell == nullptr || *shell == '\0' ? "/bin/sh" : shell, "-c",
          "exec " + expandProxyCommand(target)};
}

}  // namespace

kj::Own<Connection> startOpenssh(const SshTarget& target, const std::string& command,
                                 std::shared_ptr<RateLimiter> limiter, Denial denial,
                                 kj::AsyncIoContext& io) {
  auto argv = sshCommand(target, "ERROR");
  argv.insert(argv.end(), {"-l", target.user, "--", target.alias, command});
  return kj::heap<OpensshConnection>(target, spawnWithSocket(argv), std::move(limiter),
                                     std::move(denial), io);
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
  int status = 0;
  // It is given a moment to end by itself; a zombie is left for the destructor.
  siginfo_t info = {};
  for (int i = 0; i < 50 && info.si_pid == 0; ++i) {
    if (waitid(P_PID, id_t(child_.pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) break;
    if (info.si_pid == 0) usleep(10'000);
  }
  if (info.si_pid == 0) return "";
  status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  auto errors = readBack(child_.errors);
  if (!target_.proxyJump.empty() && absl::StrContains(errors, "stdio forwarding failed")) {
    return absl::StrCat("ProxyJump: ", escapeForTerminal(lastHop(target_).host),
                        " cannot connect to ", escapeForTerminal(target_.host), " port ",
                        target_.port, " (ssh said: ", ownWords(errors),
                        "). Is the spoke up, and is that its name there?");
  }
  if (!target_.proxyJump.empty()) {
    return absl::StrCat("ProxyJump ", escapeForTerminal(target_.proxyJump), ": ",
                        explainOpenssh(hopTarget(target_), errors, Denial()));
  }
  return absl::StrCat("the ProxyCommand of ", escapeForTerminal(target_.alias), ", '",
                      escapeForTerminal(expandProxyCommand(target_)), "', ended with exit status ",
                      status,
                      errors.empty() ? "" : absl::StrCat(" (it said: ", ownWords(errors), ")"),
                      ". Run it by hand: it should print the SSH server's greeting.");
}

}  // namespace pibrain
