#include "hub/rsync/process.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
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

#include "common/fs/file-io.h"
#include "common/text/text.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/ssh/failures.h"
#include "hub/ssh/identities.h"
#include "hub/ssh/openssh/openssh-command.h"

namespace pibrain {

namespace {

constexpr int GLANCE = 200;  // milliseconds
constexpr size_t LONGEST_ERRORS = 64 * 1024;

constexpr int FILE_IO = 11;      // rsync(1): error in file I/O
constexpr int BROKE_OFF = 12;    // rsync(1): error in the protocol data stream
constexpr int NO_COMMAND = 127;  // as shells say it

// Splits what a program prints into lines; a carriage return, too, ends one.
class Lines {
 public:
  explicit Lines(std::function<void(std::string_view)> line) : line_(std::move(line)) {}

  // Reads once. False at the end.
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

void collect(const Piped& child, RsyncRun& run, Progress& progress) {
  Lines output([&](std::string_view line) {
    run.output.line(line);
    if (!run.output.items().empty()) progress.phase = Progress::Phase::FETCHING;
    progress.files = run.output.entries;
    progress.filesDone =
        run.output.entries > 0 ? run.output.entriesDone : uint32_t(run.output.items().size());
    progress.bytesDone = run.output.bytesDone;
  });
  Lines errors([&](std::string_view line) {
    if (!line.empty()) run.errors.append(line).append("\n");
    // The last lines say what it was.
    if (run.errors.size() > 2 * LONGEST_ERRORS) {
      run.errors.erase(0, run.errors.size() - LONGEST_ERRORS);
    }
  });
  struct pollfd open[] = {{child.out.get(), POLLIN, 0}, {child.err.get(), POLLIN, 0}};
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    int ready = poll(open, 2, GLANCE);
    if (ready < 0 && errno != EINTR) throwErrno(errno, "cannot wait for rsync");
    if (ready <= 0) {
      // What it started may outlive it, and hold these open: ssh's ProxyCommand.
      if (exitStatusOf(child.pid, std::chrono::milliseconds(0))) return;
      continue;
    }
    if (open[0].revents != 0 && !output.readFrom(open[0].fd)) open[0].fd = -1;
    if (open[1].revents != 0 && !errors.readFrom(open[1].fd)) open[1].fd = -1;
  }
}

// Standard error without the lines of rsync's own about them.
std::string sshLines(const std::string& errors) {
  std::vector<std::string> lines = absl::StrSplit(errors, '\n', absl::SkipEmpty());
  std::erase_if(lines, [](auto& line) {
    return line.starts_with("rsync: ") || line.starts_with("rsync error: ");
  });
  return absl::StrJoin(lines, "\n");
}

// What kept ssh from getting there; none if it was something else that failed. rsync passes on its
// exit status, or says that the conversation broke off.
std::optional<std::string> explainSsh(const SpokeConfig& spoke, const RsyncRun& run) {
  bool possible = run.exitStatus == SSH_FAILED || run.exitStatus == BROKE_OFF;
  if (!possible || spoke.source.host.empty()) return std::nullopt;
  auto target = resolveSsh(sshRequestOf(spoke));
  if (!target.ok()) return std::string(target.status().message());
  auto errors = sshLines(run.errors);
  auto denial = denialBefore(collectIdentities(*target));
  denial.forAgent = false;
  if (run.exitStatus == SSH_FAILED) return explainOpenssh(*target, errors, denial);
  return explainUsualFailure(*target, errors, denial);
}

std::string findRsync() {
  auto rsync = findProgram("rsync");
  if (rsync) return *rsync;
  throw Failure(
      "rsync was not found on PATH, and this spoke's sync_method is rsync. Install it: 'sudo apt "
      "install rsync'; or put the agent on the spoke, and set sync_method to agent.");
}

}  // namespace

bool wasTurnedAway(const SpokeConfig& spoke, const RsyncRun& run) {
  bool possible = run.exitStatus == SSH_FAILED || run.exitStatus == BROKE_OFF;
  if (!possible || spoke.source.host.empty()) return false;
  auto target = resolveSsh(sshRequestOf(spoke));
  auto instead = target.ok() ? insteadOfGreeting(*target, sshLines(run.errors)) : std::nullopt;
  return instead && turnsAway(*instead);
}

bool rsyncKnows(const std::string& option) {
  static const std::string help = runProgram({findRsync(), "--help"}, std::chrono::seconds(10)).out;
  return absl::StrContains(help, option + " ");
}

RsyncRun runRsync(const std::vector<std::string>& options, int held, Progress& progress) {
  std::vector<std::string> argv{findRsync()};
  argv.insert(argv.end(), options.begin(), options.end());
  auto child = spawnWithPipes(argv, held);
  RsyncRun run;
  int status = 0;
  {
    bool ended = false;
    KJ_DEFER(if (!ended) waitOrKill(child.pid, std::chrono::milliseconds(0), status));
    collect(child, run, progress);
    ended = true;
    // It has closed its output: nothing but its end is to come.
    exitStatusOf(child.pid, std::chrono::seconds(10));
    kill(-child.pid, SIGKILL);  // it, or what it left behind
    waitOrKill(child.pid, std::chrono::seconds(10), status);
  }
  run.exitStatus = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

// 'rsync: [receiver] write failed on "/mirror/p/a.jsonl": File too large (27)'
std::optional<Unwritten> unwrittenFile(const RsyncRun& run, const std::string& mirror) {
  if (run.exitStatus != FILE_IO) return std::nullopt;
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

std::string explainRsync(const SpokeConfig& spoke, const RsyncRun& run) {
  auto said = absl::StrCat(" (rsync said: ", ownWords(run.errors), ")");
  auto place = placeOf(spoke);
  auto says = [&](const char* words) { return absl::StrContains(run.errors, words); };
  // A restricted key may answer in place of rsync.
  if (says("rrsync")) {
    return absl::StrCat(
        "rrsync on ", place,
        " refused this. It takes 'source' as a path beneath the directory that "
        "~/.ssh/authorized_keys there gives to it: for all of that directory, write "
        "'source: ",
        escapeForTerminal(spoke.source.host), ":.'", said, ".");
  }
  if (auto ssh = explainSsh(spoke, run)) return *ssh;
  switch (run.exitStatus) {
    case NO_COMMAND:
    case 126:
      return absl::StrCat(
          "rsync was not found on ", place,
          ". Install it there: 'sudo apt install rsync'; or put the agent there, and "
          "set sync_method to agent",
          said, ".");
    case 1:
    case 4:
      return absl::StrCat(
          "rsync does not take these arguments, or cannot read a file that they name. Check "
          "rsync_options.extra_args",
          said, ".");
    case 2:
    case BROKE_OFF:
      if (says("is your shell clean")) {
        return absl::StrCat(
            "the login shell on ", place,
            " prints something before rsync can speak, or the key starts another program "
            "(pi-brain-agent, say: then set sync_method to agent). 'ssh ",
            escapeForTerminal(spoke.source.host),
            " true' has to print nothing: look into ~/.bashrc there", said, ".");
      }
      if (says("not found")) {
        return absl::StrCat("rsync was not found on ", place,
                            ". Install it there: 'sudo apt install rsync'", said, ".");
      }
      return absl::StrCat("the conversation with rsync on ", place,
                          " broke off. Is it there, and does the key allow it?", said, ".");
    case FILE_IO:
      return absl::StrCat("a disk failed rsync, here or on ", place,
                          ". Check the room with 'df -h ",
                          escapeForTerminal(shellQuote(spoke.path)), "'", said, ".");
    case 23:
      if (says("change_dir") && says("No such file or directory")) {
        return absl::StrCat(
            "the directory ", escapeForTerminal(spoke.source.path), " does not exist on ", place,
            ". If pi has not run there yet, run it once; otherwise correct 'source' "
            "in the config. Nothing was deleted here",
            said, ".");
      }
      if (says("could not make way for")) {
        return absl::StrCat(
            "the spoke has a file where the mirror has a directory, which rsync does "
            "not replace. Move that directory out of ",
            escapeForTerminal(spoke.path), " by hand, or let the agent do it (sync_method: agent)",
            said, ".");
      }
      return absl::StrCat("some files could not be read on ", place,
                          "; check their owner and mode there", said, ".");
    case 30:
    case 35:
      return absl::StrCat("nothing was heard from ", place, " for ", spoke.timeoutSeconds,
                          " s (rsync_options.timeout_seconds), and it was given up", said, ".");
    default:
      return absl::StrCat("rsync ended with exit status ", run.exitStatus, said,
                          ". 'man rsync' lists them under EXIT VALUES.");
  }
}

}  // namespace pibrain
