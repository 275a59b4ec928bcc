#include "hub/base/rate-limiter.h"

#include <algorithm>

namespace pibrain {

RateLimiter::RateLimiter(double bytesPerSecond, Clock::time_point now)
    : rate_(bytesPerSecond),
      burst_(std::max(bytesPerSecond / 10, 512.0)),
      tokens_(burst_),
      filled_(now) {}

size_t RateLimiter::take(size_t wanted, Clock::time_point now) {
  std::lock_guard lock(mutex_);
  double seconds = std::chrono::duration<double>(now - filled_).count();
  if (seconds > 0) {
    tokens_ = std::min(burst_, tokens_ + seconds * rate_);
    filled_ = now;
  }
  if (tokens_ < 1 || tokens_ < std::min(double(wanted), burst_ / 10)) return 0;
  size_t granted = std::min(wanted, size_t(tokens_));
  tokens_ -= double(granted);
  return granted;
}

void RateLimiter::giveBack(size_t bytes) {
  std::lock_guard lock(mutex_);
  tokens_ = std::min(burst_, tokens_ + double(bytes));
}

RateLimiter::Clock::duration RateLimiter::untilNext(Clock::time_point now) const {
  std::lock_guard lock(mutex_);
  double tokens = tokens_ + std::chrono::duration<double>(now - filled_).count() * rate_;
  double missing = burst_ / 10 - tokens;
  if (missing <= 0) return Clock::duration::zero();
  return std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(missing / rate_));
}

}  // namespace pibrain
