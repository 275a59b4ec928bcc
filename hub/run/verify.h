#pragma once

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/verification.h"

namespace pibrain {

// Verifies one spoke, unless a run would skip it; with `repair`, under the mirror's lock, what
// differs is fetched, and what was there before goes to the archive. `store` (null: none) remembers
// what the mirror's filesystem is like. Never throws: failures are in the report.
Verification verifySpoke(const Config& config, const SpokeConfig& spoke,
                         const VerifyOptions& options, Store* store);

}  // namespace pibrain
