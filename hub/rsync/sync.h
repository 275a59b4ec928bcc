#pragma once
// sync_method: rsync. Runs the system's rsync, under pi-brain's lock and with its archive.

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"
#include "hub/pass/verification.h"

namespace pibrain {

// Brings the mirror up to date and fills in the report, as syncByAgent() does for an agent. `store`
// (null: none) remembers the traits of the mirror's filesystem, and failed files. Throws Failure
// or KJ exceptions.
void syncByRsync(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 Store* store, SpokeReport& report, Progress& progress);

// Compares by content, as verifyByAgent() does: rsync hashes all files on both sides. Does not
// locate differing blocks. Throws the same.
void verifyByRsync(const Config& config, const SpokeConfig& spoke, bool repair, Store* store,
                   Verification& result);

}  // namespace pibrain
