#include "hub/run/watch.h"

#include <kj/exception.h>

#include <mutex>
#include <optional>
#include <thread>

#include "hub/agent/explain.h"
#include "hub/agent/live-sync.h"
#include "hub/base/failure.h"
#include "hub/run/retry-pause.h"

namespace pibrain {

namespace {

class WatchedSpoke : public LiveObserver {
 public:
  WatchedSpoke(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
               Store* store, const WatchObserver& observer, std::mutex& mutex)
      : config_(config),
        spoke_(spoke),
        options_(options),
        store_(store),
        observer_(observer),
        mutex_(mutex) {}

  [[noreturn]] void run() {
    RetryPause pauses;
    for (;;) {
      auto began = std::chrono::steady_clock::now();
      auto failure = attempt();
      auto lived = std::chrono::duration_cast<std::chrono::seconds>(
          std::chrono::steady_clock::now() - began);
      auto pause = pauses.after(failure.id(), lived);
      {
        std::lock_guard lock(mutex_);
        observer_.lost(spoke_, failure, pause);
      }
      std::this_thread::sleep_for(pause);
    }
  }

  void entered(LiveState state, const std::string& why) override {
    std::lock_guard lock(mutex_);
    observer_.entered(spoke_, state, why);
  }
  void changed(const LiveChange& change) override {
    std::lock_guard lock(mutex_);
    observer_.changed(spoke_, change);
  }
  void passed(const SpokeReport& report) override {
    if (store_ != nullptr) (void)store_->recordRun(report);
    std::lock_guard lock(mutex_);
    observer_.passed(spoke_, report);
  }

 private:
  Failure attempt() {
    std::optional<Failure> failure;
    kj::Maybe<kj::Exception> broke;
    try {
      LiveSync(config_, spoke_, options_, store_, *this).run();
    } catch (const Failure& e) {
      failure = e;
    } catch (kj::Exception& e) {
      broke = kj::mv(e);
    }
    KJ_IF_MAYBE(e, broke) failure = explainOutside(spoke_, *e);
    return *failure;
  }

  const Config& config_;
  const SpokeConfig& spoke_;
  const RunOptions& options_;
  Store* const store_;
  const WatchObserver& observer_;
  std::mutex& mutex_;
};

}  // namespace

void watchSpokes(const Config& config, const std::vector<const SpokeConfig*>& spokes,
                 const RunOptions& options, Store* store, const WatchObserver& observer) {
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (auto* spoke : spokes) {
    threads.emplace_back(
        [&, spoke]() { WatchedSpoke(config, *spoke, options, store, observer, mutex).run(); });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace pibrain
