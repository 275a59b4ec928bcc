#pragma once
// One sync run over some spokes.

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Called when a spoke begins and when it has ended, one call at a time. Any thread may read the
// progress until syncSpokes() returns.
struct RunObserver {
  std::function<void(const SpokeConfig&, const Progress&)> began;
  std::function<void(const SpokeReport&)> ended;
};

// Syncs a spoke in another way, through a daemon for example; nullopt: it cannot. Called by several
// threads.
using Delegate = std::function<std::optional<SpokeReport>(const SpokeConfig&, Progress&)>;

// Sets the options so that `spokes` spokes together use at most this bandwidth, both ways.
void limitBandwidth(RunOptions& options, uint32_t kibPerSecond, size_t spokes);

// Syncs the spokes, several at a time as the options say, and records the runs in the history. A
// failure of one spoke does not affect the others. `store`: null: no history. Returns the reports
// in the order of the spokes. `delegate` (null: none) is asked first about the spokes that
// `delegated` names.
std::vector<SpokeReport> syncSpokes(const Config& config,
                                    const std::vector<const SpokeConfig*>& spokes,
                                    const RunOptions& options, Store* store,
                                    const RunObserver& observer,
                                    const std::set<std::string>& delegated = {},
                                    const Delegate& delegate = nullptr);

}  // namespace pibrain
