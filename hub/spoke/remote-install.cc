#include "hub/spoke/remote-install.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>

#include "common/file-io.h"
#include "common/protocol.h"
#include "common/text.h"
#include "hub/failure.h"
#include "hub/files.h"
#include "hub/spoke/install-script.h"
#include "hub/ssh/failures.h"
#include "hub/ssh/openssh-command.h"

namespace pibrain {

namespace {

constexpr int SSH_FAILED = 255;  // ssh(1), EXIT STATUS
constexpr size_t LONGEST_LINE = 64 * 1024;
constexpr size_t LONGEST_NOISE = 4096;
constexpr size_t MOST_HEARD = 1 << 20;  // bytes in all: it has little to say
// For one answer, and for all of it: an agent goes through a slow line meanwhile.
constexpr auto PATIENCE = std::chrono::minutes(5), PATIENCE_IN_ALL = std::chrono::minutes(20);

std::string makeToken() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) throwErrno(errno, "no random numbers");
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes), sizeof(bytes)});
}

}  // namespace

RemoteInstall::RemoteInstall(SshTarget target, bool mayAsk)
    : target_(std::move(target)), mayAsk_(mayAsk), token_(makeToken()) {}

RemoteInstall::~RemoteInstall() noexcept(false) {
  if (ssh_.pid < 0) return;
  // It takes back what is not to stay when it sees the end of its input.
  shutdown(ssh_.stdio, SHUT_WR);
  int status;
  waitOrKill(ssh_.pid, patience_, status);
}

void RemoteInstall::start(std::vector<std::string> arguments) {
  // A spoke that went away is noticed.
  auto argv = opensshCommand(target_, {"INFO", mayAsk_}, {"-o", "ServerAliveInterval=15"});
  argv.push_back("exec /bin/sh");
  ssh_ = spawnWithSocket(argv, mayAsk_ ? Terminal::OURS : Terminal::NONE);
  arguments.push_back("--token=" + token_);
  // What start-up files print may have no line's end.
  std::string text = "echo\nset --";
  for (auto& argument : arguments) absl::StrAppend(&text, " ", shellQuote(argument));
  deadline_ = std::chrono::steady_clock::now() + PATIENCE_IN_ALL;
  send(text + "\n" + INSTALL_SCRIPT);
}

void RemoteInstall::send(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    awaitTurn(POLLOUT);
    ssize_t n =
        ::send(ssh_.stdio, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // What it has to say of that comes with the next answer.
    if (n < 0) return;
    sent += size_t(n);
  }
}

// Returns when the other side is ready for this, or has gone.
void RemoteInstall::awaitTurn(short events) {
  using std::chrono::ceil, std::chrono::milliseconds, std::chrono::steady_clock;
  // A person who is asked for a password takes his time.
  bool person = mayAsk_ && !heard_;
  if (person) deadline_ = steady_clock::now() + PATIENCE_IN_ALL;
  auto until = std::min(deadline_, steady_clock::now() + PATIENCE);
  for (;;) {
    struct pollfd turn = {ssh_.stdio, events, 0};
    auto left = ceil<milliseconds>(until - steady_clock::now()).count();
    int ready = poll(&turn, 1, person ? -1 : int(std::max<int64_t>(left, 0)));
    if (ready > 0) return;
    if (ready < 0 && errno == EINTR) continue;
    patience_ = std::chrono::seconds(0);
    throw Failure(absl::StrCat(escapeForTerminal(target_.alias),
                               " takes too long to answer. Does '", sshInvocation(target_),
                               " true' come to an end?"));
  }
}

// False at the end.
bool RemoteInstall::readMore() {
  awaitTurn(POLLIN);
  char buffer[16 * 1024];
  ssize_t n = recv(ssh_.stdio, buffer, sizeof(buffer), 0);
  if (n <= 0) return false;
  total_ += size_t(n);
  if (total_ > MOST_HEARD) {
    patience_ = std::chrono::seconds(0);
    throw Failure(
        absl::StrCat(escapeForTerminal(target_.alias),
                     " sends without end. What do its shell's start-up files print? Try '",
                     sshInvocation(target_), " true'."));
  }
  received_.append(buffer, size_t(n));
  return true;
}

std::pair<std::string, std::string> RemoteInstall::answer() {
  for (;;) {
    auto end = received_.find('\n');
    if (end == std::string::npos) {
      if (received_.size() > LONGEST_LINE || !readMore()) explainEnd();
      continue;
    }
    auto line = received_.substr(0, end);
    received_.erase(0, end + 1);
    if (!line.starts_with(token_ + " ")) {
      absl::StrAppend(&noise_,
                      line.substr(0, LONGEST_NOISE - std::min(noise_.size(), LONGEST_NOISE)), "\n");
      continue;
    }
    heard_ = true;
    line.erase(0, token_.size() + 1);
    auto space = std::min(line.find(' '), line.size());
    auto word = line.substr(0, space), rest = line.substr(std::min(space + 1, line.size()));
    if (word == "say") {
      said_.push_back(escapeForTerminal(rest));
    } else if (word == "fail" && rest.starts_with("no-agent ")) {
      throw Failure(absl::StrCat(
          escapeForTerminal(target_.alias), " is of the architecture ",
          escapeForTerminal(rest.substr(9)),
          ", and there is no agent for it here. 'deploy/build-agents.sh' of the source makes those "
          "for x86_64 and aarch64; --agents DIR says where they are."));
    } else if (word == "fail") {
      throw Failure(
          absl::StrCat("on ", escapeForTerminal(target_.alias), ": ", escapeForTerminal(rest)));
    } else {
      return {word, rest};
    }
  }
}

void RemoteInstall::explainEnd() {
  auto status = exitStatusOf(ssh_.pid, std::chrono::seconds(5));
  auto errors = readBack(ssh_.errors);
  auto place = escapeForTerminal(target_.alias);
  if (!heard_ && status == SSH_FAILED) {
    Denial denial;
    denial.forAgent = false;
    throw Failure(absl::StrCat(explainOpenssh(target_, errors, denial),
                               " Adding a spoke, or changing one, goes by your own login there: '",
                               sshInvocation(target_), " true' has to work."));
  }
  auto noise = noise_ + received_;
  if (noise.find(std::string(PREAMBLE.substr(2))) != std::string::npos) {
    throw Failure(absl::StrCat(
        "the login at ", place,
        " starts the agent, and nothing else: it is that of the locked-down key. This takes a "
        "login "
        "of your own, which 'spoke add' is given, and the other commands by --via user@host."));
  }
  auto said = ownWords(errors.empty() ? noise : errors);
  throw Failure(
      absl::StrCat("the login at ", place,
                   heard_ ? " broke off" : " does not run /bin/sh, or ended before it did",
                   said.empty() ? "" : absl::StrCat(" (it said: ", said, ")"), ". Try '",
                   sshInvocation(target_), " true'."));
}

Installed RemoteInstall::install(const InstallRequest& request,
                                 const std::vector<AgentProgram>& agents) {
  std::string hashes;
  for (auto& agent : agents) absl::StrAppend(&hashes, agent.architecture, "=", agent.sha256, " ");
  std::vector<std::string> arguments{"--key=" + request.publicKey, "--root=" + request.root,
                                     "--hashes=" + hashes};
  if (!request.from.empty()) arguments.push_back("--from=" + request.from);
  if (!request.retire.empty()) {
    arguments.push_back("--retire=" + absl::StrJoin(request.retire, " "));
  }
  arguments.push_back(absl::StrCat("--patience=", std::chrono::seconds(PATIENCE_IN_ALL).count()));
  // Manager has seen to it that nobody logs in with it.
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
      if (!content) throw Failure("the agent to send cannot be read.");
      send(absl::StrCat(content->size(), "\n"));
      send(*content);
    } else if (word == "installed") {
      std::vector<std::string> words = absl::StrSplit(rest, ' ');
      if (words.size() == 3) return {words[0], words[1], words[2]};
      explainEnd();
    } else {
      explainEnd();
    }
  }
}

void RemoteInstall::keep() {
  send("keep\n");
  for (auto word = answer().first; word != "done" && word != "kept"; word = answer().first) {
  }
}

void RemoteInstall::retire() {
  send("retire\n");
  while (answer().first != "done") {
  }
}

bool RemoteInstall::takeBack() {
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

std::vector<std::string> RemoteInstall::takeSaid() { return std::exchange(said_, {}); }

}  // namespace pibrain
