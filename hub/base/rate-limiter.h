#pragma once

#include <stddef.h>
#include <stdint.h>

#include <chrono>
#include <mutex>

namespace pibrain {

// A token bucket: bytes per second over time, with bursts of a tenth of a second. One limiter may
// serve several threads, which then share the rate.
class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RateLimiter(double bytesPerSecond, Clock::time_point now = Clock::now());

  // How many of `wanted` bytes may pass now; they count as passed. All, or a tenth of the burst at
  // least, or none: few calls, and still smooth.
  size_t take(size_t wanted, Clock::time_point now = Clock::now());
  // Gives back what was taken but did not pass.
  void giveBack(size_t bytes);
  // How long until take() gives something, however much is wanted.
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
