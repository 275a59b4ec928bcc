#pragma once

#include <functional>
#include <vector>

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

// All of these, several at a time. `ended` is called with each, one call at a time.
std::vector<Verification> verifySpokes(
    const Config& config, const std::vector<const SpokeConfig*>& spokes,
    const VerifyOptions& options, Store* store,
    const std::function<void(const SpokeConfig&, const Verification&)>& ended);

}  // namespace pibrain
