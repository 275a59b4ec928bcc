#pragma once

#include <string>
#include <vector>

#include "hub/config.h"
#include "hub/rsync/output.h"
#include "hub/sync/progress.h"

namespace pibrain {

struct RsyncRun {
  RsyncOutput output;
  std::string errors;  // what rsync and ssh wrote to standard error, its end
  int exitStatus = 0;  // rsync(1), EXIT VALUES
};

// Runs rsync to its end, which keeps a descriptor of `held`; the progress counts the changes.
// Throws Failure if there is none on PATH.
RsyncRun runRsync(const std::vector<std::string>& options, int held, Progress& progress);

// Why rsync ended so, for a person (P8). Of 0 and 24 (files vanished meanwhile) there is nothing to
// explain.
std::string explainRsync(const SpokeConfig& spoke, const RsyncRun& run);

}  // namespace pibrain
