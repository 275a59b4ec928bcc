#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/live-requests.h"
#include "hub/pass/live.h"
#include "hub/pass/options.h"
#include "hub/run/live-totals.h"

namespace pibrain {

// What happens to the spokes that are kept up to date. Any thread may call, for one spoke one call
// at a time.
struct WatchObserver {
  std::function<void(const SpokeConfig&, LiveState, const std::string& why)> entered;
  std::function<void(const SpokeConfig&, const LiveChange&)> changed;
  std::function<void(const SpokeConfig&, const SpokeReport&)> passed;
  // The connection could not be made, or broke; the next attempt is after `pause`.
  std::function<void(const SpokeConfig&, const Failure&, std::chrono::milliseconds pause)> lost;
  // All changes that were told are on the disk. May be null.
  std::function<void(const SpokeConfig&)> flushed;
};

// Keeps one spoke up to date until somebody stops it: one that has an agent over a connection that
// stays, any other by runs as its schedule says.
class LiveSpoke : private LiveObserver {
 public:
  // `config` must have the spoke. `store` (null: no history) and `observer` must outlive this.
  LiveSpoke(std::shared_ptr<const Config> config, const SpokeConfig& spoke, Store* store,
            const WatchObserver& observer)
      : config_(std::move(config)),
        spoke_(spoke),
        store_(store),
        observer_(observer),
        totals_(spoke.name, store) {}

  // Does so in the calling thread. Returns when requests() were told to stop.
  void run();

  const SpokeConfig& spoke() const { return spoke_; }
  LiveRequests& requests() { return requests_; }

 private:
  void entered(LiveState state, const std::string& why) override;
  void changed(const LiveChange& change) override;
  void flushed(const WireBytes& wire) override;
  void passed(const SpokeReport& report) override;

  void runLive();
  // Returns why the connection ended; nullopt: it was told to stop.
  std::optional<Failure> attempt();
  // Answers the passes that were asked for, which failed so. Returns whether one of them deserves
  // another attempt instead.
  bool answerAll(const Failure& failure);
  // Answers those that no one will do.
  void refuseAll();
  void runBySchedule();

  const std::shared_ptr<const Config> config_;
  const SpokeConfig& spoke_;
  Store* const store_;
  const WatchObserver& observer_;
  const RunOptions options_;
  LiveRequests requests_;
  LiveTotals totals_;
  bool connected_ = false;              // the latest attempt got that far
  std::shared_ptr<PassRequest> begun_;  // by the latest attempt, and not answered
};

}  // namespace pibrain
