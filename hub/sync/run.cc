#include "hub/sync/run.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "hub/sync/sync-spoke.h"

namespace pibrain {

std::vector<SpokeReport> runSpokes(const Config& config,
                                   const std::vector<const SpokeConfig*>& spokes,
                                   const RunOptions& options, Store* store,
                                   const RunObserver& observer) {
  std::vector<SpokeReport> reports(spokes.size());
  std::atomic<size_t> next = 0;
  std::mutex observing;
  auto work = [&]() {
    for (size_t i; (i = next++) < spokes.size();) {
      {
        std::lock_guard lock(observing);
        observer.began(*spokes[i]);
      }
      reports[i] = syncSpoke(config, *spokes[i], options, store);
      std::lock_guard lock(observing);
      observer.ended(reports[i]);
    }
  };
  std::vector<std::thread> threads;
  size_t count = std::min<size_t>(std::max(options.jobs, 1u), spokes.size());
  for (size_t i = 0; i < count; ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  return reports;
}

}  // namespace pibrain
