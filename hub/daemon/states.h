#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/pass/live-status.h"
#include "hub/pass/live.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// The states of all spokes of a daemon. Any thread may call.
class LiveStates {
 public:
  void entered(const std::string& spoke, LiveState state, const std::string& why);
  void changed(const std::string& spoke, const LiveChange& change);
  void flushed(const std::string& spoke);
  void passed(const std::string& spoke, const SpokeReport& report);
  void lost(const std::string& spoke, const Failure& failure, std::chrono::milliseconds pause);
  void forget(const std::string& spoke);

  LiveStatus of(const std::string& spoke) const;

 private:
  // Of the latest changes.
  static constexpr size_t MAX_LAGS = 1000;

  struct State {
    LiveStatus status;
    std::deque<int64_t> lags;
  };

  mutable std::mutex mutex_;
  std::map<std::string, State> states_;
};

}  // namespace pibrain
