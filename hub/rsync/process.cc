#include "hub/rsync/process.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <errno.h>
#include <kj/common.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "common/fs/io-error.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/identities.h"
#include "hub/ssh/openssh-errors.h"
#include "hub/ssh/openssh/login-watch.h"
#include "hub/ssh/openssh/openssh-command.h"
#include "hub/ssh/turns.h"

namespace pibrain {

namespace {

constexpr int GLANCE = 200;  // milliseconds
constexpr size_t LONGEST_ERRORS = 64 * 1024;

// Splits output into lines, which a newline or a carriage return ends.
class Lines {
 public:
  explicit Lines(std::function<void(std::string_view)> line) : line_(std::move(line)) {}

  // Reads once. Returns false at the end.
  bool readFrom(int fd) {
    char buffer[16 * 1024];
    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) return true;
    if (n < 0) throwErrno(errno, "cannot read what rsync prints");
    pending_.append(buffer, size_t(n));
    size_t start = 0;
    for (size_t end; (end = pending_.find_first_of("\r\n", start)) != std::string::npos;
         start = end + 1) {
      line_(std::string_view(pending_).substr(start, end - start));
    }
    pending_.erase(0, start);
    return n > 0;
  }

 private:
  std::function<void(std::string_view)> line_;
  std::string pending_;
};

// Sorts standard error: before rsync starts on the spoke, lines belong to the login.
class Errors {
 public:
  Errors(const SshTarget* target, RsyncRun& run) : run_(run) {
    run_.begun = target == nullptr;
    if (target == nullptr) return;
    turn_.emplace(*target);
    watch_.emplace(*target);
  }

  void line(std::string_view line) {
    if (line.empty()) return;
    bool rsyncs = line.starts_with("rsync: ") || line.starts_with("rsync error: ");
    auto& text = run_.begun || rsyncs ? run_.errors : run_.login;
    text.append(line).append("\n");
    // The last lines matter most.
    if (text.size() > 2 * LONGEST_ERRORS) text.erase(0, text.size() - LONGEST_ERRORS);
    if (!run_.begun && watch_->begun(run_.login)) begin();
  }

  // Called when rsync prints something, or its ssh reports that it starts.
  void begin() {
    run_.begun = true;
    turn_.reset();
  }

  // Throws Failure if a step of the login takes too long.
  void requireInTime() const {
    if (!run_.begun && watch_->left().count() <= 0) throw Failure(watch_->tookTooLong(run_.login));
  }

  // Called at the end.
  void finish() {
    turn_.reset();
    // rsync may have failed before it started ssh.
    run_.errors = withoutTales(run_.begun ? run_.errors : run_.login + run_.errors);
  }

 private:
  RsyncRun& run_;
  std::optional<ConnectTurn> turn_;
  std::optional<LoginWatch> watch_;
};

void collect(const Piped& child, Errors& sorted, RsyncRun& run, Progress& progress) {
  Lines output([&](std::string_view line) {
    sorted.begin();
    run.output.line(line);
    if (!run.output.items().empty()) progress.phase = Progress::Phase::FETCHING;
    progress.files = run.output.entries;
    progress.filesDone =
        run.output.entries > 0 ? run.output.entriesDone : uint32_t(run.output.items().size());
    progress.bytesDone = run.output.bytesDone;
  });
  Lines errors([&](std::string_view line) { sorted.line(line); });
  struct pollfd open[] = {{child.out.get(), POLLIN, 0}, {child.err.get(), POLLIN, 0}};
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    sorted.requireInTime();
    int ready = poll(open, 2, GLANCE);
    if (ready < 0 && errno != EINTR) throwErrno(errno, "cannot wait for rsync");
    if (ready <= 0) {
      // A child of rsync's ssh, such as a ProxyCommand, may outlive it and keep the pipes open.
      if (exitStatusOf(child.pid, std::chrono::milliseconds(0))) return;
      continue;
    }
    // ssh's messages come before what rsync prints through it.
    if (open[1].revents != 0 && !errors.readFrom(open[1].fd)) open[1].fd = -1;
    if (open[0].revents != 0 && !output.readFrom(open[0].fd)) open[0].fd = -1;
  }
}

std::string findRsync() {
  auto rsync = findProgram("rsync");
  if (rsync) return *rsync;
  throw Failure(FailureId::RSYNC_MISSING, "rsync was not found on this machine",
                "The spoke's sync_method is rsync.",
                {{"Install rsync", "sudo apt install rsync"},
                 {"Or switch the spoke to the agent with 'pi-brain spoke add'", ""}});
}

}  // namespace

bool sshFailed(const RsyncRun& run) {
  return !run.begun && (run.exitStatus == SSH_FAILED || run.exitStatus == rsync_exit::BROKE_OFF);
}

bool wasTurnedAway(const SshTarget* target, const RsyncRun& run) {
  auto instead = sshFailed(run) ? insteadOfGreeting(*target, run.login) : std::nullopt;
  return instead && turnsAway(*instead);
}

bool rsyncKnows(const std::string& option) {
  static const auto help = runProgram({findRsync(), "--help"}, std::chrono::seconds(10));
  if (help.cut)
    throw Failure(FailureId::RSYNC_FAILED, "'rsync --help' could not be read",
                  absl::StrCat(WHY_CUT, "."));
  return absl::StrContains(help.out, option + " ");
}

RsyncRun runRsync(const std::vector<std::string>& options, int held, const SshTarget* target,
                  Progress& progress) {
  std::vector<std::string> argv{findRsync()};
  argv.insert(argv.end(), options.begin(), options.end());
  RsyncRun run;
  Errors errors(target, run);
  auto child = spawnWithPipes(argv, held);
  int status = 0;
  {
    bool ended = false;
    KJ_DEFER(if (!ended) waitOrKill(child.pid, std::chrono::milliseconds(0), status));
    collect(child, errors, run, progress);
    errors.finish();
    ended = true;
    // rsync has closed its output, and will only end.
    exitStatusOf(child.pid, std::chrono::seconds(10));
    kill(-child.pid, SIGKILL);  // rsync, or what it left behind
    waitOrKill(child.pid, std::chrono::seconds(10), status);
  }
  run.exitStatus = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

// 'rsync: [receiver] write failed on "/mirror/p/a.jsonl": File too large (27)'
std::optional<Unwritten> unwrittenFile(const RsyncRun& run, const std::string& mirror) {
  if (run.exitStatus != rsync_exit::FILE_IO) return std::nullopt;
  constexpr absl::string_view FAILED = "write failed on \"", END = "\": ";
  for (absl::string_view line : absl::StrSplit(run.errors, '\n', absl::SkipEmpty())) {
    auto begin = line.find(FAILED);
    auto end = line.rfind(END);
    if (begin == line.npos || end == line.npos || end < begin + FAILED.size()) continue;
    auto name = line.substr(begin + FAILED.size(), end - begin - FAILED.size());
    auto path = unescapeRsync({name.data(), name.size()});
    auto above = mirror + (mirror.ends_with('/') ? "" : "/");
    if (!path.starts_with(above)) return std::nullopt;
    Unwritten unwritten{path.substr(above.size()), std::string(line.substr(end + END.size()))};
    absl::string_view why = unwritten.why;
    if (absl::ConsumeSuffix(&why, ")")) {
      (void)absl::SimpleAtoi(why.substr(why.rfind('(') + 1), &unwritten.error);
    }
    return unwritten;
  }
  return std::nullopt;
}

}  // namespace pibrain
