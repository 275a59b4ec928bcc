#include "hub/ssh/openssh.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>
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

#include "common/text.h"
#include "hub/failure.h"
#include "hub/process-connection.h"

namespace pibrain {

namespace {

// What ssh puts into the destination of -W, in a ProxyCommand.
constexpr char DESTINATION[] = "[%h]:%p";

// With LogLevel VERBOSE, ssh says when it has logged in, and in the end what it carried.
constexpr char AUTHENTICATED[] = "Authenticated to ";

constexpr int SSH_FAILED = 255;  // ssh(1), EXIT STATUS

}  // namespace

std::vector<std::string> sshCommand(const SshTarget& target, const char* logLevel, bool mayAsk) {
  auto ssh = findProgram("ssh");
  if (!ssh) {
    throw Failure(absl::StrCat(
        "an ssh client is needed for ", escapeForTerminal(target.alias),
        ", and there is none on PATH. Install one: 'sudo apt install openssh-client'."));
  }
  std::vector<std::string> command{*ssh, "-T", "-a", "-x"};
  if (!target.configFile.empty()) command.insert(command.end(), {"-F", target.configFile});
  for (auto option : {mayAsk ? "BatchMode=no" : "BatchMode=yes", "ClearAllForwardings=yes",
                      "PermitLocalCommand=no", "RemoteCommand=none",
                      // A master of ours would live on in the background.
                      "ControlMaster=no"}) {
    command.insert(command.end(), {"-o", option});
  }
  if (target.hasSessionType) {
    for (auto option : {"SessionType=default", "StdinNull=no", "ForkAfterAuthentication=no"}) {
      command.insert(command.end(), {"-o", option});
    }
  }
  command.insert(command.end(), {"-o", absl::StrCat("LogLevel=", logLevel), "-o",
                                 absl::StrCat("ConnectTimeout=", target.connectTimeout)});
  return command;
}

void addHostKeyOptions(const SshTarget& target, std::vector<std::string>& command) {
  if (!target.acceptNewHostKeys) return;
  command.insert(command.end(), {"-o", "StrictHostKeyChecking=accept-new"});
}

namespace {

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

// Of ProxyJump, in the order in which they are passed.
std::vector<Hop> hopsOf(const SshTarget& target) {
  std::vector<Hop> hops;
  auto jump = expandProxyTokens(target.proxyJump, target);
  for (absl::string_view text : absl::StrSplit(jump, ',')) {
    hops.push_back(parseHop(std::string(text)));
  }
  return hops;
}

// `word` for a shell, by backslashes alone: these nest, and ssh, which looks for unbalanced quotes
// in its options, finds none.
std::string backslashQuote(const std::string& word) {
  constexpr std::string_view PLAIN =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
  std::string quoted;
  for (char c : word) {
    if (PLAIN.find(c) == std::string_view::npos) quoted += '\\';
    quoted += c;
  }
  return quoted;
}

// A ProxyCommand that runs this. ssh replaces tokens in it: only DESTINATION is meant as one.
std::string asProxyCommand(const std::vector<std::string>& argv) {
  std::vector<std::string> words;
  for (auto& arg : argv) {
    words.push_back(
        backslashQuote(arg == DESTINATION ? arg : absl::StrReplaceAll(arg, {{"%", "%%"}})));
  }
  return absl::StrJoin(words, " ");
}

// An ssh to the last of these hops that connects its standard input and output to `destination`;
// the other hops are on its way. ssh's own -J would let those ask questions, and give them no time
// limit, so each ssh gets the one before it as its ProxyCommand.
std::vector<std::string> jumpCommand(const SshTarget& target, std::vector<Hop> hops,
                                     const std::string& destination) {
  auto hop = hops.back();
  hops.pop_back();
  // Why a hop cannot connect further is but informative to ssh.
  auto command = sshCommand(target, "INFO", false);
  auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) command.insert(command.end(), {option, value});
  };
  if (!hops.empty()) {
    add("-o", "ProxyCommand=" + asProxyCommand(jumpCommand(target, hops, DESTINATION)));
  }
  add("-l", hop.user);
  add("-p", hop.port);
  add("-W", destination);
  command.insert(command.end(), {"--", hop.host});
  return command;
}

// For messages about the last hop.
SshTarget lastHopTarget(const SshTarget& target) {
  auto hop = hopsOf(target).back();
  SshTarget result;
  result.alias = result.host = hop.host;
  result.user = hop.user;
  auto resolved = resolveSsh({hop.host, hop.user, target.configFile});
  if (resolved.ok()) result = *resolved;
  uint32_t port;
  if (absl::SimpleAtoi(hop.port, &port)) result.port = uint16_t(port);
  result.connectTimeout = target.connectTimeout;
  return result;
}

std::vector<std::string> proxyCommand(const SshTarget& target) {
  if (!target.proxyJump.empty()) {
    return jumpCommand(target, hopsOf(target), absl::StrCat("[", target.host, "]:", target.port));
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

std::string withoutSums(const std::string& errors) {
  std::vector<std::string> lines = absl::StrSplit(errors, '\n');
  std::erase_if(lines, [](auto& line) {
    return line.starts_with("Transferred: ") || line.starts_with("Bytes per second: ");
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
    result.errors = withoutSums(result.errors);
    if (result.exitStatus == SSH_FAILED && wasCut(result.errors)) {
      result.cutOff = ownWords(result.errors);
      result.errors.clear();
    }
    return result;
  }

 private:
  SshTarget target_;
};

// Whether it was not the target that ssh failed at, but the way there.
bool failedOnTheWay(const std::string& errors) {
  return absl::StrContains(errors, "UNKNOWN port 65535") ||
         absl::StrContains(errors, "kex_exchange_identification");
}

std::string explainFailedLogin(const SshTarget& target, const std::string& errors,
                               const Denial& denial) {
  if (target.proxyJump.empty() || !failedOnTheWay(errors)) {
    return explainOpenssh(target, errors, denial);
  }
  auto hop = hopsOf(target).back();
  auto port = hop.port.empty() ? "" : absl::StrCat(" -p ", escapeForTerminal(hop.port));
  return absl::StrCat("ssh could not get to ", escapeForTerminal(target.alias),
                      " through ProxyJump ", escapeForTerminal(target.proxyJump),
                      " (it said: ", ownWords(errors), "). Try each hop by itself with '",
                      sshInvocation(lastHopTarget(target)), port, " true', and then '",
                      sshInvocation(target), " true'.");
}

// Returns when ssh has logged in, or the command behind it has said something or ended: a
// connection that was there before, and is shared, logs in no more. Throws Failure if ssh itself
// fails before, or takes longer than ConnectTimeout, which ssh counts to the server's greeting
// only.
void waitForLogin(const SshTarget& target, const Spawned& ssh, const Denial& denial) {
  constexpr int GLANCE = 5;  // milliseconds between two looks at what ssh wrote
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(target.connectTimeout);
  for (;;) {
    struct pollfd output = {ssh.stdio.get(), POLLIN, 0};
    bool said = poll(&output, 1, GLANCE) > 0;
    auto errors = readBack(ssh.errors);
    if (endOfLogin(target, errors) != std::string::npos) return;
    char byte;
    if (said && recv(ssh.stdio, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) return;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (said) {
      if (exitStatusOf(ssh.pid, left) != SSH_FAILED) return;
      throw Failure(explainFailedLogin(target, readBack(ssh.errors), denial));
    }
    if (left.count() <= 0) {
      throw Failure(
          absl::StrCat(noAnswer(target), errors.empty() ? "" : " ssh said: ", ownWords(errors)));
    }
  }
}

}  // namespace

std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors) {
  auto end = endOfLogin(target, errors);
  if (end == std::string::npos) return std::nullopt;
  return withoutSums(errors.substr(end));
}

kj::Own<Connection> startOpenssh(const SshTarget& target, const std::string& command,
                                 std::shared_ptr<RateLimiter> limiter, const Denial& denial,
                                 kj::AsyncIoContext& io) {
  auto argv = sshCommand(target, "VERBOSE", false);
  if (!target.proxyJump.empty()) {
    auto jump = asProxyCommand(jumpCommand(target, hopsOf(target), DESTINATION));
    argv.insert(argv.end(), {"-o", "ProxyJump=none", "-o", "ProxyCommand=" + jump});
  }
  if (!target.key.empty()) {
    argv.insert(argv.end(),
                {"-i", target.key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"});
  }
  addHostKeyOptions(target, argv);
  argv.insert(argv.end(), {"-l", target.user, "--", target.alias, command});
  auto child = spawnWithSocket(argv);
  bool reached = false;
  KJ_DEFER({
    int status;
    if (!reached) waitOrKill(child.pid, std::chrono::milliseconds(0), status);
  });
  waitForLogin(target, child, denial);
  auto connection = kj::heap<OpensshConnection>(target, kj::mv(child), std::move(limiter), io);
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
    return absl::StrCat("ProxyJump: ", escapeForTerminal(hopsOf(target_).back().host),
                        " cannot connect to ", escapeForTerminal(target_.host), " port ",
                        target_.port, " (ssh said: ", ownWords(errors),
                        "). Is the spoke up, and is that its name there?");
  }
  if (!target_.proxyJump.empty()) {
    return absl::StrCat("ProxyJump ", escapeForTerminal(target_.proxyJump), ": ",
                        explainOpenssh(lastHopTarget(target_), errors, Denial()));
  }
  return absl::StrCat("the ProxyCommand of ", escapeForTerminal(target_.alias), ", '",
                      escapeForTerminal(expandProxyTokens(target_.proxyCommand, target_)),
                      "', ended with exit status ", *status,
                      errors.empty() ? "" : absl::StrCat(" (it said: ", ownWords(errors), ")"),
                      ". Run it by hand: it should print the SSH server's greeting.");
}

}  // namespace pibrain
