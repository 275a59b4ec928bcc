#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

namespace pibrain {

struct DetachedDaemon {
  std::string config, log;  // absolute paths
};

// Starts `pi-brain daemon run` in a session of its own, and waits until it answers. Returns its
// process. Throws Failure with what it said if it ends instead.
pid_t startDetached(const DetachedDaemon& daemon, const std::string& databaseDir);

// Waits for at most so long until no daemon runs. Returns whether none does.
bool waitUntilGone(const std::string& databaseDir, std::chrono::seconds atMost);

}  // namespace pibrain
