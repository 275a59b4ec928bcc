#pragma once
// One sync run over some spokes.

#include <stdint.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Told, one call at a time, when a spoke begins and when it has ended. The progress can be read
// from any thread while the SyncRun lives.
struct RunObserver {
  std::function<void(const SpokeConfig&, const Progress&)> began;
  std::function<void(const SpokeReport&)> ended;
};

class SpokeReach;

class SyncRun {
 public:
  // Begins to look for the way to the first `options.jobs` spokes: it takes a moment, in which the
  // caller can prepare the rest. Starts no thread.
  SyncRun(const Config& config, std::vector<const SpokeConfig*> spokes, RunOptions options);
  ~SyncRun() noexcept(false);

  // Goes on with that: begins to connect to where those spokes were last time.
  void dialEarly(Store& store);

  // Syncs the spokes, each in a thread of its own, and records them in the store (null: nowhere).
  // One spoke's failure leaves the others alone. The reports come in the order of the spokes.
  std::vector<SpokeReport> finish(Store* store, const RunObserver& observer);

 private:
  const Config& config_;
  std::vector<const SpokeConfig*> spokes_;
  RunOptions options_;
  std::vector<std::unique_ptr<SpokeReach>> reaches_;
  std::vector<Progress> progress_;
};

}  // namespace pibrain
