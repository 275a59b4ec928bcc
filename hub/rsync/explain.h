#pragma once

#include <string>

#include "hub/config/config.h"
#include "hub/rsync/explain.h"
#include "hub/rsync/process.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Why rsync ended so, for a person (P8). Of 0 and 24 (files vanished meanwhile) there is nothing to
// explain.
std::string explainRsync(const SpokeConfig& spoke, const SshTarget* target, const RsyncRun& run);

}  // namespace pibrain
