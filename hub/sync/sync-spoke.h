#pragma once

#include "hub/sync/run.h"

namespace pibrain {

// Syncs one spoke, start to end. Never throws: what failed is in the report, in words.
SpokeReport syncSpoke(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                      Store* store);

}  // namespace pibrain
