#include "hub/rsync/process.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <kj/common.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file-io.h"
#include "common/text.h"
#include "hub/failure.h"
#include "hub/ssh/failures.h"
#include "hub/subprocess.h"
#include "hub/sync/explain.h"

namespace pibrain {

namespace {

constexpr int BROKE_OFF = 12;    // rsync(1): error in the protocol data stream
constexpr int NO_COMMAND = 127;  // as shells say it
constexpr int SSH_FAILED = 255;  // ssh(1), EXIT STATUS

// Calls `line` for each line that comes from the socket, until its end.
template <typename Line>
void readLines(int socket, Line&& line) {
  std::string pending;
  char buffer[16 * 1024];
  for (;;) {
    ssize_t n = read(socket, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throwErrno(errno, "cannot read what rsync prints");
    if (n == 0) break;
    pending.append(buffer, size_t(n));
    size_t start = 0;
    for (size_t end; (end = pending.find('\n', start)) != std::string::npos; start = end + 1) {
      line(std::string_view(pending).substr(start, end - start));
    }
    pending.erase(0, start);
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
  auto target = resolveSsh(spoke.source.user, spoke.source.host, spoke.sshConfig);
  if (!target.ok()) return std::string(target.status().message());
  auto errors = sshLines(run.errors);
  if (run.exitStatus == SSH_FAILED) return explainOpenssh(*target, errors, Denial());
  return explainUsualFailure(*target, errors, Denial());
}

}  // namespace

RsyncRun runRsync(const std::vector<std::string>& options, Progress& progress) {
  auto rsync = findProgram("rsync");
  if (!rsync) {
    throw Failure(
        "rsync was not found on PATH, and this spoke's sync_method is rsync. Install it: 'sudo apt "
        "install rsync'; or put the agent on the spoke, and set sync_method to agent.");
  }
  std::vector<std::string> argv{*rsync};
  argv.insert(argv.end(), options.begin(), options.end());
  auto child = spawnWithSocket(argv);
  RsyncRun run;
  int status = 0;
  {
    bool ended = false;
    KJ_DEFER(if (!ended) waitOrKill(child.pid, std::chrono::milliseconds(0), status));
    readLines(child.stdio, [&](std::string_view line) {
      run.output.line(line);
      progress.filesDone = uint32_t(run.output.items().size());
    });
    ended = true;
    // It has closed its output: nothing but its end is to come.
    waitOrKill(child.pid, std::chrono::seconds(10), status);
  }
  run.exitStatus = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  run.errors = readBack(child.errors);
  return run;
}

std::string explainRsync(const SpokeConfig& spoke, const RsyncRun& run) {
  auto said = absl::StrCat(" (rsync said: ", ownWords(run.errors), ")");
  auto place = placeOf(spoke);
  auto says = [&](const char* words) { return absl::StrContains(run.errors, words); };
  // A restricted key may answer in place of rsync.
  if (says("rrsync")) {
    return absl::StrCat("rrsync on ", place,
                        " refused this. Its directory is in ~/.ssh/authorized_keys there; 'source' "
                        "has to name the same, or a path relative to it",
                        said, ".");
  }
  if (auto ssh = explainSsh(spoke, run)) return *ssh;
  switch (run.exitStatus) {
    case NO_COMMAND:
    case 126:
      return absl::StrCat("rsync was not found on ", place,
                          ". Install it there: 'sudo apt install rsync'; or put the agent there, and "
                          "set sync_method to agent",
                          said, ".");
    case 1:
    case 4:
      return absl::StrCat("rsync does not know an option. Check rsync_options.extra_args", said, ".");
    case 2:
    case BROKE_OFF:
      if (says("is your shell clean")) {
        return absl::StrCat("the login shell on ", place,
                            " prints something before rsync can speak. 'ssh ",
                            escapeForTerminal(spoke.source.host),
                            " true' has to print nothing: look into ~/.bashrc there; the agent "
                            "(sync_method: agent) does not mind",
                            said, ".");
      }
      if (says("not found")) {
        return absl::StrCat("rsync was not found on ", place,
                            ". Install it there: 'sudo apt install rsync'", said, ".");
      }
      return absl::StrCat("the conversation with rsync on ", place,
                          " broke off. Is it there, and does the key allow it?", said, ".");
    case 11:
      return absl::StrCat("a disk failed rsync, here or on ", place,
                          ". Check the room with 'df -h ", escapeForTerminal(shellQuote(spoke.path)),
                          "'", said, ".");
    case 23:
      if (says("change_dir") && says("No such file or directory")) {
        return absl::StrCat("the directory of 'source' does not exist on ", place,
                            ". Did pi run there yet, and as this user?", said, ".");
      }
      return absl::StrCat("some files could not be synced; check their owner and mode on ", place, said,
                          ". All else was synced.");
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
