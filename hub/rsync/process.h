#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/pass/progress.h"
#include "hub/rsync/output.h"
#include "hub/ssh/target.h"

namespace pibrain {

// rsync(1), EXIT VALUES, and the exit statuses of shells that cannot run rsync.
namespace rsync_exit {
constexpr int SYNTAX = 1, INCOMPATIBLE = 2, UNSUPPORTED = 4, FILE_IO = 11, BROKE_OFF = 12,
              PARTIAL = 23, VANISHED = 24, IDLE = 30, NO_CONNECTION = 35, NOT_EXECUTABLE = 126,
              NO_COMMAND = 127;
}

struct RsyncRun {
  RsyncOutput output;
  std::string login;   // ssh's messages until rsync started on the spoke
  bool begun = false;  // rsync started on the spoke; always true for a local source
  std::string errors;  // the end of standard error of rsync and of the spoke
  int exitStatus = 0;  // rsync(1), EXIT VALUES
};

// Returns whether 'rsync --help' on this machine lists the option. It runs once. Throws Failure if
// rsync is not on PATH.
bool rsyncKnows(const std::string& option);

// Runs rsync until it ends. rsync inherits a descriptor of `held`; the progress counts the changes.
// The ssh to `target` (null: this machine) must have TELLING_LOG_LEVEL, so that it is watched and
// takes turns like any other login. Throws Failure if rsync is not on PATH, or if a step of the
// login takes too long.
RsyncRun runRsync(const std::vector<std::string>& options, int held, const SshTarget* target,
                  Progress& progress);

// Returns whether ssh failed to connect: rsync passes on its exit status, or reports that the
// conversation ended.
bool sshFailed(const RsyncRun& run);

// Returns whether the server turned the connection away, so that a retry may work.
bool wasTurnedAway(const SshTarget* target, const RsyncRun& run);

// The single file for which rsync gave up because the hub could not write it: too large for the
// disk, or for 'ulimit -f'.
struct Unwritten {
  std::string path;  // relative to the mirror
  std::string why;
  int error = 0;  // errno
};
std::optional<Unwritten> unwrittenFile(const RsyncRun& run, const std::string& mirror);

}  // namespace pibrain
