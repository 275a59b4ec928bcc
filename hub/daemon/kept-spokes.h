#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/live-spoke.h"

namespace pibrain {

// The threads of a daemon, one for each spoke. Used by one thread.
class KeptSpokes {
 public:
  // `store` (null: no history) and `observer` must outlive all threads.
  KeptSpokes(Store* store, const WatchObserver& observer) : store_(store), observer_(observer) {}
  // Waits for all threads.
  ~KeptSpokes();
  KeptSpokes(const KeptSpokes&) = delete;
  KeptSpokes& operator=(const KeptSpokes&) = delete;

  // Starts, restarts and stops threads until they fit the config. Spokes whose settings are the
  // same are left alone. A thread that is stopped may go on until its connection attempt ends.
  // Throws Failure if the system allows no more threads or descriptors; the next call tries again.
  void use(const std::shared_ptr<const Config>& config);
  // Asks all threads to end, and waits for those that do. Returns false if one did not within this
  // time.
  bool stopAll(std::chrono::milliseconds patience);

  // Returns the requests of a spoke; null: it is not kept.
  LiveRequests* requestsOf(const std::string& name);
  // Calls LiveRequests::doubtConnection() for all.
  void doubtAll();

 private:
  struct Kept {
    std::shared_ptr<LiveSpoke> spoke;
    std::shared_ptr<std::atomic<bool>> ended;
    // Joined, so that it is gone before the process ends: libraries tidy up at the end of a thread.
    std::shared_ptr<std::thread> thread;
    HubConfig hub;
  };

  // Asks the threads in kept_ to end.
  void askAllToEnd();
  void start(const std::shared_ptr<const Config>& config, const SpokeConfig& spoke);

  Store* const store_;
  const WatchObserver& observer_;
  std::map<std::string, Kept> kept_;
  std::vector<Kept> ending_;
};

}  // namespace pibrain
