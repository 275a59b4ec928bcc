#include "hub/sync/run.h"

#include <mutex>

#include "hub/parallel.h"
#include "hub/sync/sync-spoke.h"

namespace pibrain {

std::vector<SpokeReport> runSpokes(const Config& config,
                                   const std::vector<const SpokeConfig*>& spokes,
                                   const RunOptions& options, Store* store,
                                   const RunObserver& observer) {
  std::vector<SpokeReport> reports(spokes.size());
  std::mutex observing;
  forEachInParallel(spokes.size(), options.jobs, [&](size_t i) {
    {
      std::lock_guard lock(observing);
      observer.began(*spokes[i]);
    }
    reports[i] = syncSpoke(config, *spokes[i], options, store);
    std::lock_guard lock(observing);
    observer.ended(reports[i]);
  });
  return reports;
}

}  // namespace pibrain
