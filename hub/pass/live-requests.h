#pragma once
// What other threads ask of the thread that keeps a spoke live.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// One pass that someone asks for. Any thread may call.
class PassRequest {
 public:
  // `answered`: called once, by the thread that answers, which it must not block; may be null.
  PassRequest(RunOptions wanted, std::function<void()> answered)
      : options(std::move(wanted)), answered_(std::move(answered)) {}

  void answer(SpokeReport report);
  // Returns the report; nullopt: the pass has not ended.
  std::optional<SpokeReport> report() const;

  const RunOptions options;
  Progress progress;
  bool triedAgain = false;  // used by the thread that does the pass

 private:
  const std::function<void()> answered_;
  mutable std::mutex mutex_;
  std::optional<SpokeReport> report_;
};

class LiveRequests {
 public:
  // Throws std::system_error if the process has no descriptor left.
  LiveRequests();
  ~LiveRequests();
  LiveRequests(const LiveRequests&) = delete;
  LiveRequests& operator=(const LiveRequests&) = delete;

  // Any thread may call these.

  void add(std::shared_ptr<PassRequest> request);
  // Asks the thread to end.
  void stop();
  // Asks the thread to connect again.
  void reconnect();
  // Says that the connection may be dead, or that a dead one may work again, because the machine
  // was suspended or its network changed.
  void doubtConnection();

  // These are for the thread that keeps the spoke live.

  // A descriptor that becomes readable when something is asked for, until reset().
  int fd() const { return event_; }
  void reset();
  // Returns whether something is asked for.
  bool any() const;
  bool stopped() const;
  // Returns whether the connection must end: stopped(), or reconnect() was called since the last
  // beginConnection().
  bool mustEnd() const;
  void beginConnection();
  // Returns whether doubtConnection() was called since the last takeDoubt().
  bool isDoubted() const;
  bool takeDoubt();
  // Returns the next request, which the caller must answer; null: none.
  std::shared_ptr<PassRequest> take();
  // Puts a request back, to be the next.
  void putBack(std::shared_ptr<PassRequest> request);
  // Waits for at most so long, or until something is asked for.
  void wait(std::chrono::milliseconds atMost);

 private:
  void wake();

  const int event_;  // eventfd(2)
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<PassRequest>> requests_;
  bool stopped_ = false, doubted_ = false, reconnect_ = false;
};

}  // namespace pibrain
