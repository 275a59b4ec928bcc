#pragma once

#include <functional>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/verification.h"

namespace pibrain {

// Verifies one spoke, unless a run would skip it. With `repair`, locks the mirror, archives
// differing files and fetches them again. `store` (null: none) remembers the traits of the mirror's
// filesystem. Never throws: failures are in the report.
Verification verifySpoke(const Config& config, const SpokeConfig& spoke,
                         const VerifyOptions& options, Store* store);

// Verifies all of these, several at a time. Calls `ended` with each result, one call at a time.
std::vector<Verification> verifySpokes(
    const Config& config, const std::vector<const SpokeConfig*>& spokes,
    const VerifyOptions& options, Store* store,
    const std::function<void(const SpokeConfig&, const Verification&)>& ended);

}  // namespace pibrain
