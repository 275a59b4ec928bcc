#pragma once

#include <stddef.h>
#include <stdint.h>

#include <chrono>
#include <mutex>

namespace pibrain {

// A token bucket: limits bytes per second, with bursts of a tenth of a second. Threads that use one
// limiter share its rate.
class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RateLimiter(double bytesPerSecond, Clock::time_point now = Clock::now());

  // Returns how many of `wanted` bytes may pass now, and counts them as passed: all, or at least a
  // tenth of the burst, or none. So calls are few, and traffic is still smooth.
  size_t take(size_t wanted, Clock::time_point now = Clock::now());
  // Puts back bytes that were taken but did not pass.
  void giveBack(size_t bytes);
  // Returns how long it takes until take() returns more than 0.
  Clock::duration untilNext(Clock::time_point now = Clock::now()) const;

  double bytesPerSecond() const { return rate_; }

 private:
  const double rate_;
  const double burst_;
  mutable std::mutex mutex_;
  double tokens_;
  Clock::time_point filled_;
};

}  // namespace pibrain
