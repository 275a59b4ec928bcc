#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/pass/progress.h"
#include "hub/rsync/output.h"
#include "hub/ssh/target.h"

namespace pibrain {

// rsync(1), EXIT VALUES, and what a shell says when it cannot run it.
namespace rsync_exit {
constexpr int SYNTAX = 1, INCOMPATIBLE = 2, UNSUPPORTED = 4, FILE_IO = 11, BROKE_OFF = 12,
              PARTIAL = 23, VANISHED = 24, IDLE = 30, NO_CONNECTION = 35, NOT_EXECUTABLE = 126,
              NO_COMMAND = 127;
}

struct RsyncRun {
  RsyncOutput output;
  std::string login;   // what ssh wrote until rsync began on the spoke
  bool begun = false;  // it did; always, if the source is on this machine
  std::string errors;  // what rsync, and what runs on the spoke, wrote to standard error, its end
  int exitStatus = 0;  // rsync(1), EXIT VALUES
};

// Whether the rsync that there is here names this option among those that it knows. It is asked
// once. Throws Failure if there is none on PATH.
bool rsyncKnows(const std::string& option);

// Runs rsync to its end, which keeps a descriptor of `held`; the progress counts the changes.
// `target` (null: this machine) is reached by an ssh that has TELLING_LOG_LEVEL: it is watched, and
// takes turns, as any other login. Throws Failure if there is no rsync on PATH, or if a step of the
// login takes too long.
RsyncRun runRsync(const std::vector<std::string>& options, int held, const SshTarget* target,
                  Progress& progress);

// Whether it was ssh that did not get there. rsync passes on its exit status, or says that the
// conversation broke off.
bool sshFailed(const RsyncRun& run);

// Whether the server turned the connection away, which it may not do a moment later.
bool wasTurnedAway(const SshTarget* target, const RsyncRun& run);

// What rsync could not write here and gave up for, if it was one file: it is too large for the
// disk, say, or for 'ulimit -f'.
struct Unwritten {
  std::string path;  // in the mirror
  std::string why;
  int error = 0;  // errno
};
std::optional<Unwritten> unwrittenFile(const RsyncRun& run, const std::string& mirror);

}  // namespace pibrain
