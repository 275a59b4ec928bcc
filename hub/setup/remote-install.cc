#include "hub/setup/remote-install.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/wire/protocol.h"
#include "hub/base/failure.h"
#include "hub/base/user-files.h"
#include "hub/setup/install-script.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/openssh/failed-start.h"
#include "hub/ssh/openssh/login-watch.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

constexpr size_t LONGEST_LINE = 64 * 1024;
constexpr size_t LONGEST_NOISE = 4096;
constexpr size_t MOST_HEARD = 1 << 20;  // bytes in all; the script prints little
// The limits for one answer, and for the whole installation, since the agent may be sent over a
// slow link. The latter also limits a login for which a person may have to type a password.
constexpr auto PATIENCE = std::chrono::minutes(5), PATIENCE_IN_ALL = std::chrono::minutes(20);
// The limits for an unattended login, and for the command to start after it.
constexpr auto LOGIN_PATIENCE = std::chrono::seconds(60), START_PATIENCE = std::chrono::seconds(60);
// How often to read what ssh wrote.
constexpr auto GLANCE = std::chrono::milliseconds(200);

std::string makeToken() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
    throwErrno(errno, "no random numbers are available");
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes), sizeof(bytes)});
}

// Returns whether ssh has a terminal to ask at.
bool hasTerminal() {
  kj::AutoCloseFd terminal(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  return terminal.get() >= 0;
}
bool hasAskpass() { return getenv("SSH_ASKPASS") != nullptr; }

}  // namespace

RemoteInstall::RemoteInstall(SshTarget target, bool mayAsk)
    : target_(std::move(target)),
      mayAsk_(mayAsk && (hasTerminal() || hasAskpass())),
      token_(makeToken()) {}

RemoteInstall::~RemoteInstall() noexcept(false) {
  if (ssh_.pid < 0) return;
  // The end of its input makes the script undo what was not committed.
  shutdown(ssh_.stdio, SHUT_WR);
  int status;
  waitOrKill(ssh_.pid, patience_, status);
}

void RemoteInstall::start(std::vector<std::string> arguments) {
  // With ServerAliveInterval, ssh notices a spoke that is gone.
  auto argv =
      opensshCommand(target_, {TELLING_LOG_LEVEL, mayAsk_}, {"-o", "ServerAliveInterval=15"});
  argv.push_back("exec /bin/sh");
  ssh_ = spawnWithSocket(argv, mayAsk_ ? Terminal::OURS : Terminal::NONE);
  start_ = std::chrono::steady_clock::now();
  requireSh();
  arguments.push_back("--token=" + token_);
  std::string text = "set --";
  for (auto& argument : arguments) absl::StrAppend(&text, " ", shellQuote(argument));
  send(text + "\n" + INSTALL_SCRIPT);
}

// Throws if a start-up file has replaced sh by another shell.
void RemoteInstall::requireSh() {
  // Output of start-up files may lack a newline; a start-up file that reads a line gets the empty
  // one. In csh, $?x tells whether x is set.
  send(absl::StrCat("\necho; echo ", token_, " reads $?x\n"));
  if (answer() == std::pair<std::string, std::string>("reads", "0x")) return;
  patience_ = std::chrono::seconds(0);
  throw Failure(
      FailureId::SHELL_UNUSABLE,
      absl::StrCat("the login at ", escapeForTerminal(target_.alias),
                   " runs another shell instead of the command '/bin/sh'"),
      "A start-up file of the login shell may start it. Nothing was changed on the spoke.",
      {{"Check which shell it is", sshInvocation(target_) + " exec /bin/sh -c pwd"}});
}

void RemoteInstall::send(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    waitReady(POLLOUT);
    ssize_t n =
        ::send(ssh_.stdio, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // The reason comes with the next answer.
    if (n < 0) return;
    sent += size_t(n);
  }
}

// Returns when the socket is ready, or the spoke has closed it.
void RemoteInstall::waitReady(short events) {
  using std::chrono::ceil, std::chrono::milliseconds, std::chrono::steady_clock;
  auto began = steady_clock::now();
  for (;;) {
    auto left = ceil<milliseconds>(limit(began) - steady_clock::now());
    if (left.count() <= 0) explainSilence();
    struct pollfd turn = {ssh_.stdio, events, 0};
    if (poll(&turn, 1, int(heard_ ? left.count() : std::min(left, GLANCE).count())) > 0) return;
  }
}

std::chrono::steady_clock::time_point RemoteInstall::limit(
    std::chrono::steady_clock::time_point began) {
  if (heard_) return std::min(heardAt_ + PATIENCE_IN_ALL, began + PATIENCE);
  if (!loggedIn_ && errorsAfterLogin(target_, readBack(ssh_.errors))) {
    loggedIn_ = std::chrono::steady_clock::now();
  }
  if (loggedIn_) return *loggedIn_ + START_PATIENCE;
  if (mayAsk_) return start_ + PATIENCE_IN_ALL;
  return start_ + std::max(LOGIN_PATIENCE, std::chrono::seconds(target_.connectTimeout));
}

void RemoteInstall::explainSilence() {
  patience_ = std::chrono::seconds(0);
  auto place = escapeForTerminal(target_.alias);
  auto invocation = sshInvocation(target_);
  if (heard_) {
    throw Failure(FailureId::CONNECTION_SILENT, place + " stopped answering", "",
                  {{"Check that a command on the spoke ends", invocation + " true"}});
  }
  auto errors = readBack(ssh_.errors);
  auto said = stderrTail(errorsAfterLogin(target_, errors).value_or(errors));
  auto saying =
      said.empty() ? "" : absl::StrCat(loggedIn_ ? "The spoke said: " : "ssh said: ", said, ".");
  auto waited = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                                 loggedIn_.value_or(start_));
  if (!loggedIn_) {
    throw Failure(FailureId::LOGIN_TIMEOUT,
                  absl::StrCat("ssh did not log in to ", place, " within ", waited.count(), " s"),
                  saying, {{"Check how far ssh gets", invocation + " -v true"}});
  }
  Failure silent(
      FailureId::SHELL_UNUSABLE,
      absl::StrCat("the login at ", place,
                   " works, but its shell did not start the command '/bin/sh' within ",
                   waited.count(), " s"),
      "A start-up file of that shell (~/.bashrc, ~/.zshenv, ~/.config/fish/config.fish, ~/.tcshrc) "
      "may wait for input, or run a program that does not end.",
      {{"Check whether this ends", invocation + " true </dev/null"},
       {"While it hangs, on the spoke, check what runs", "ps f -u " + shellQuote(target_.user)}});
  throw silent.addCause(saying);
}

// Returns false at the end of the connection.
bool RemoteInstall::readMore() {
  waitReady(POLLIN);
  char buffer[16 * 1024];
  ssize_t n = recv(ssh_.stdio, buffer, sizeof(buffer), 0);
  if (n <= 0) return false;
  total_ += size_t(n);
  if (total_ > MOST_HEARD) {
    patience_ = std::chrono::seconds(0);
    throw Failure(
        FailureId::SHELL_NOISY, escapeForTerminal(target_.alias) + " keeps sending output", "",
        {{"Check what the shell's start-up files print", sshInvocation(target_) + " true"}});
  }
  received_.append(buffer, size_t(n));
  return true;
}

std::pair<std::string, std::string> RemoteInstall::answer() {
  for (;;) {
    auto end = received_.find('\n');
    if (end == std::string::npos) {
      if (received_.size() > LONGEST_LINE || !readMore()) failWithDiagnosis();
      continue;
    }
    auto line = received_.substr(0, end);
    received_.erase(0, end + 1);
    if (!line.starts_with(token_ + " ")) {
      absl::StrAppend(&noise_,
                      line.substr(0, LONGEST_NOISE - std::min(noise_.size(), LONGEST_NOISE)), "\n");
      continue;
    }
    if (!heard_) heardAt_ = std::chrono::steady_clock::now();
    heard_ = true;
    line.erase(0, token_.size() + 1);
    auto space = std::min(line.find(' '), line.size());
    auto word = line.substr(0, space), rest = line.substr(std::min(space + 1, line.size()));
    if (word == "say") {
      messages_.push_back(escapeForTerminal(rest));
    } else if (word == "no-agent") {
      throw Failure(
          FailureId::NO_AGENT_FOR_ARCHITECTURE,
          absl::StrCat(escapeForTerminal(target_.alias), " has the architecture ",
                       escapeForTerminal(rest), ", and the hub has no agent for it"),
          "",
          {{"Build the agents for x86_64 and aarch64 in the source tree, and name their directory "
            "with --agents DIR",
            "deploy/build-agents.sh"}});
    } else if (word == "fail") {
      throw failureThere(rest);
    } else {
      return {word, rest};
    }
  }
}

// Returns what the script reports as WHAT, CAUSE, FIX and COMMAND, with tabs between them.
Failure RemoteInstall::failureThere(const std::string& said) const {
  std::vector<std::string> parts = absl::StrSplit(said, '\t');
  parts.resize(4);
  for (auto& part : parts) part = escapeForTerminal(part);
  auto place = escapeForTerminal(target_.alias);
  Failure failure(FailureId::INSTALL_FAILED,
                  absl::StrCat("on ", place, ": ", withoutFullStop(parts[0])), parts[1]);
  if (parts[2].empty()) return failure;
  // The hub's own user must see that another machine proposes the command.
  return failure.addFix({absl::StrCat(parts[2], ", on ", place), parts[3]});
}

void RemoteInstall::failWithDiagnosis() {
  auto status = exitStatusOf(ssh_.pid, std::chrono::seconds(5));
  auto errors = readBack(ssh_.errors);
  auto place = escapeForTerminal(target_.alias);
  if (!heard_ && status == SSH_FAILED && !LoginWatch(target_).begun(errors)) {
    AuthFailure authFailure;
    authFailure.of = LoginOf::PERSON;
    auto failure = explainFailedStart(target_, errors, authFailure);
    throw failure.addFix(
        {"'pi-brain spoke' uses your own login on the spoke. Check that this works",
         sshInvocation(target_) + " true"});
  }
  auto noise = noise_ + received_;
  if (noise.find(std::string(PREAMBLE.substr(2))) != std::string::npos) {
    throw Failure(
        FailureId::LOGIN_LOCKED_DOWN,
        absl::StrCat("the login at ", place, " starts the agent and nothing else"),
        "It uses the locked-down key.",
        {{"Use your own login: as the target of 'spoke add', or with --via user@host", ""}});
  }
  auto own = errorsAfterLogin(target_, errors).value_or(errors);
  auto said = stderrTail(absl::StripAsciiWhitespace(own).empty() ? noise : own);
  auto saying = said.empty() ? "" : absl::StrCat("The spoke said: ", said, ".");
  if (heard_) {
    throw Failure(FailureId::CONNECTION_LOST,
                  absl::StrCat("the login at ", place, " ended unexpectedly"), saying,
                  {{"Check that the spoke runs a command", sshInvocation(target_) + " true"}});
  }
  Failure ended(
      FailureId::SHELL_UNUSABLE,
      absl::StrCat("the login at ", place, " does not run /bin/sh, or ended before it did"),
      "The login shell may run no commands (nologin, or a restricted shell such as rbash), or "
      "ForceCommand in the spoke's sshd_config or command=\"…\" in authorized_keys runs another "
      "program instead.",
      {{"On the spoke, check the login shell",
        "getent passwd " + escapeForTerminal(shellQuote(target_.user))},
       {"Check what the login runs", sshInvocation(target_) + " true"}});
  throw ended.addCause(saying);
}

Installed RemoteInstall::install(const InstallRequest& request,
                                 const std::vector<AgentProgram>& agents) {
  std::string hashes;
  for (auto& agent : agents) absl::StrAppend(&hashes, agent.architecture, "=", agent.sha256, " ");
  std::vector<std::string> arguments{"--key=" + request.publicKey, "--root=" + request.root,
                                     "--hashes=" + hashes};
  if (!request.from.empty()) arguments.push_back("--from=" + request.from);
  for (auto& pattern : request.exclude) arguments.push_back("--exclude=" + pattern);
  if (!request.retire.empty()) {
    arguments.push_back("--retire=" + absl::StrJoin(request.retire, " "));
  }
  arguments.push_back(absl::StrCat("--patience=", std::chrono::seconds(PATIENCE_IN_ALL).count()));
  // The caller made sure that nobody logs in with the key (requireDedicated()).
  arguments.push_back("--dedicated");
  if (request.newSpoke) arguments.push_back("--new-spoke");
  if (request.agentOnly) arguments.push_back("--agent-only");
  if (request.dryRun) arguments.push_back("--print");
  start(std::move(arguments));
  for (;;) {
    auto [word, rest] = answer();
    if (word == "need") {
      auto agent = std::find_if(agents.begin(), agents.end(), [&, wanted = rest](auto& one) {
        return one.architecture == wanted;
      });
      auto content = agent == agents.end() ? std::nullopt : readWholeFile(agent->path);
      if (!content)
        throw Failure(FailureId::INSTALL_FAILED, "the agent's file on the hub cannot be read");
      send(absl::StrCat(content->size(), "\n"));
      send(*content);
    } else if (word == "installed") {
      std::vector<std::string> words = absl::StrSplit(rest, ' ');
      if (words.size() == 3) return {words[0], words[1], words[2]};
      failWithDiagnosis();
    } else {
      failWithDiagnosis();
    }
  }
}

void RemoteInstall::commit() {
  send("keep\n");
  for (auto word = answer().first; word != "done" && word != "kept"; word = answer().first) {
  }
}

void RemoteInstall::retire() {
  send("retire\n");
  while (answer().first != "done") {
  }
}

bool RemoteInstall::rollBack() {
  try {
    send("undo\n");
    while (answer().first != "undone") {
    }
    return true;
  } catch (const Failure&) {
    return false;
  }
}

void RemoteInstall::uninstall(const std::string& publicKey, bool dryRun) {
  std::vector<std::string> arguments{"--uninstall", "--key=" + publicKey};
  if (dryRun) arguments.push_back("--print");
  start(std::move(arguments));
  while (answer().first != "done") {
  }
}

std::vector<std::string> RemoteInstall::drainMessages() { return std::exchange(messages_, {}); }

}  // namespace pibrain
