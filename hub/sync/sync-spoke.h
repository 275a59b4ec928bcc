#pragma once

#include <memory>

#include "hub/sync/progress.h"
#include "hub/sync/reach.h"
#include "hub/sync/run.h"

namespace pibrain {

// Syncs one spoke, start to end. Never throws: what failed is in the report, in words. `reach`
// (null: it begins here) is the way to it.
SpokeReport syncSpoke(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                      Store* store, std::unique_ptr<SpokeReach> reach, Progress& progress);

}  // namespace pibrain
