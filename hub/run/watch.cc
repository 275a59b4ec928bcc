#include "hub/run/watch.h"

#include <mutex>
#include <thread>

namespace pibrain {

void watchSpokes(const std::shared_ptr<const Config>& config,
                 const std::vector<const SpokeConfig*>& spokes, Store* store,
                 const WatchObserver& observer) {
  std::mutex mutex;
  WatchObserver oneAtATime{
      [&](auto& spoke, LiveState state, const std::string& why) {
        std::lock_guard lock(mutex);
        observer.entered(spoke, state, why);
      },
      [&](auto& spoke, const LiveChange& change) {
        std::lock_guard lock(mutex);
        observer.changed(spoke, change);
      },
      [&](auto& spoke, const SpokeReport& report) {
        std::lock_guard lock(mutex);
        observer.passed(spoke, report);
      },
      [&](auto& spoke, const Failure& failure, std::chrono::milliseconds pause) {
        std::lock_guard lock(mutex);
        observer.lost(spoke, failure, pause);
      },
  };
  std::vector<std::thread> threads;
  for (auto* spoke : spokes) {
    threads.emplace_back([&, spoke]() { LiveSpoke(config, *spoke, store, oneAtATime).run(); });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace pibrain
