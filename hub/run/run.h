#pragma once
// One sync run over some spokes.

#include <functional>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Told, one call at a time, when a spoke begins and when it has ended. The progress can be read
// from any thread until syncSpokes() returns.
struct RunObserver {
  std::function<void(const SpokeConfig&, const Progress&)> began;
  std::function<void(const SpokeReport&)> ended;
};

// Has these options let `spokes` spokes use so much together, both ways.
void limitBandwidth(RunOptions& options, uint32_t kibPerSecond, size_t spokes);

// Syncs the spokes, so many at a time as the options say, and records them in the history. One
// spoke's failure leaves the others alone. `store`: null if there is no history. The reports come
// in the order of the spokes.
std::vector<SpokeReport> syncSpokes(const Config& config,
                                    const std::vector<const SpokeConfig*>& spokes,
                                    const RunOptions& options, Store* store,
                                    const RunObserver& observer);

}  // namespace pibrain
