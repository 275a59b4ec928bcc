#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/live.h"
#include "hub/pass/options.h"

namespace pibrain {

// What happens to the spokes that are watched. Any thread may call, one at a time.
struct WatchObserver {
  std::function<void(const SpokeConfig&, LiveState, const std::string& why)> entered;
  std::function<void(const SpokeConfig&, const LiveChange&)> changed;
  std::function<void(const SpokeConfig&, const SpokeReport&)> passed;
  // The connection could not be made, or broke; the next attempt is after `pause`.
  std::function<void(const SpokeConfig&, const Failure&, std::chrono::milliseconds pause)> lost;
};

// Mirrors these spokes, which have agents, as they change, each in its own thread, until the
// process ends. `store`: null: no history.
void watchSpokes(const Config& config, const std::vector<const SpokeConfig*>& spokes,
                 const RunOptions& options, Store* store, const WatchObserver& observer);

}  // namespace pibrain
