#pragma once

#include <memory>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/live-spoke.h"

namespace pibrain {

// Mirrors these spokes, which have agents, as they change, each in its own thread, until the
// process ends. `store`: null: no history.
void watchSpokes(const std::shared_ptr<const Config>& config,
                 const std::vector<const SpokeConfig*>& spokes, Store* store,
                 const WatchObserver& observer);

}  // namespace pibrain
