#pragma once

#include <string>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/rsync/process.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Explains rsync's exit status to a person (P8). Called for 0 and 24 (files vanished) only if rsync
// did not print its statistics.
Failure explainRsync(const SpokeConfig& spoke, const SshTarget* target, const RsyncRun& run);

}  // namespace pibrain
