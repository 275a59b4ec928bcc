#pragma once
// sync_method: rsync. The system's rsync, run as users ran it themselves, under this program's lock
// and with its archive.

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"
#include "hub/pass/verification.h"

namespace pibrain {

// Brings the mirror up to date and fills the report, as syncSpoke() does for an agent. `store`
// (null: none) remembers what the mirror's filesystem is like, and what failed. Throws Failure,
// Mirror::Locked or KJ exceptions.
void syncByRsync(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 Store* store, SpokeReport& report, Progress& progress);

// Compares by content, as verifySpoke() does with an agent: rsync hashes all files on both sides.
// Which block differs is not looked for. Throws the same.
void verifyByRsync(const Config& config, const SpokeConfig& spoke, bool repair, Store* store,
                   Verification& result);

}  // namespace pibrain
