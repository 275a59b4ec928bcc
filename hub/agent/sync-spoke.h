#pragma once

#include <memory>

#include "hub/connect/reach.h"
#include "hub/result/progress.h"
#include "hub/run/run.h"

namespace pibrain {

// Syncs one spoke, start to end. Never throws: what failed is in the report, in words. `reach`
// (null: it begins here) is the way to it.
SpokeReport syncSpoke(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                      Store* store, std::unique_ptr<SpokeReach> reach, Progress& progress);

}  // namespace pibrain
