#pragma once

#include <string>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/rsync/process.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Why rsync ended so, for a person (P8). Of 0 and 24 (files vanished meanwhile) there is nothing to
// explain, unless rsync did not say what it did.
Failure explainRsync(const SpokeConfig& spoke, const SshTarget* target, const RsyncRun& run);

}  // namespace pibrain
