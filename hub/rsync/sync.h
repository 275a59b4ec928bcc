#pragma once
// sync_method: rsync. The system's rsync, run as users ran it themselves, under this program's lock
// and with its archive.

#include "hub/config.h"
#include "hub/report.h"
#include "hub/sync/run.h"

namespace pibrain {

// Brings the mirror up to date and fills the report, as syncSpoke() does for an agent. Throws
// Failure, Mirror::Locked or KJ exceptions.
void syncByRsync(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 SpokeReport& report, Progress& progress);

}  // namespace pibrain
