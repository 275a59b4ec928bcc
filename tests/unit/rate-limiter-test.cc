#include "hub/base/rate-limiter.h"

#include <gtest/gtest.h>

namespace pibrain {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

const RateLimiter::Clock::time_point START{hours(1)};

TEST(RateLimiter, burstIsATenthOfASecond) {
  RateLimiter limiter(100'000, START);
  EXPECT_EQ(limiter.bytesPerSecond(), 100'000);
  EXPECT_EQ(limiter.untilNext(START), RateLimiter::Clock::duration::zero());
  EXPECT_EQ(limiter.take(4000, START), 4000u);
  EXPECT_EQ(limiter.take(1'000'000, START), 6000u);
  EXPECT_EQ(limiter.take(1, START), 0u);
  // However long the limiter was idle.
  EXPECT_EQ(limiter.take(1'000'000, START + hours(1)), 10'000u);
}

TEST(RateLimiter, waitsForATenthOfTheBurst) {
  RateLimiter limiter(100'000, START);
  limiter.take(10'000, START);
  auto wait = limiter.untilNext(START);
  EXPECT_GE(wait, milliseconds(10));
  EXPECT_LT(wait, milliseconds(11));
  EXPECT_EQ(limiter.untilNext(START + wait), RateLimiter::Clock::duration::zero());
  size_t granted = limiter.take(1'000'000, START + wait);
  EXPECT_GE(granted, 999u);
  EXPECT_LE(granted, 1001u);
}

TEST(RateLimiter, grantsNoCrumbsToFrequentCallers) {
  RateLimiter limiter(5'000'000, START);
  size_t passed = 0, grants = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    size_t granted = limiter.take(16'384, START + std::chrono::microseconds(i));
    passed += granted;
    grants += granted > 0;
  }
  EXPECT_GE(passed, 5'000'000u);
  EXPECT_LE(passed, 5'500'000u);
  EXPECT_LE(grants, 5'500'000u / 16'384 + 1);
  // A smaller request does not wait for more.
  EXPECT_EQ(limiter.take(1, START + std::chrono::seconds(1)), 1u);
}

TEST(RateLimiter, keepsTheRateOverTime) {
  for (double rate : {600.0, 1024.0, 100'000.0, 1e9}) {
    RateLimiter limiter(rate, START);
    auto now = START;
    double passed = 0;
    for (int i = 0; now < START + std::chrono::seconds(20); ++i) {
      ASSERT_LT(i, 10'000) << "too many wake-ups at " << rate;
      passed += double(limiter.take(size_t(rate), now));
      now += limiter.untilNext(now);
    }
    EXPECT_GT(passed, 19.5 * rate) << rate;
    EXPECT_LT(passed, 20.2 * rate + 1024) << rate;
  }
}

TEST(RateLimiter, slowRatesStillPassAPacket) {
  RateLimiter limiter(100, START);
  EXPECT_EQ(limiter.take(10'000, START), 512u);
}

TEST(RateLimiter, givingBackAddsNoMoreThanTheBurst) {
  RateLimiter limiter(100'000, START);
  limiter.take(10'000, START);
  limiter.giveBack(3000);
  EXPECT_EQ(limiter.take(10'000, START), 3000u);
  limiter.giveBack(1'000'000);
  EXPECT_EQ(limiter.take(1'000'000, START), 10'000u);
}

TEST(RateLimiter, aClockThatStopsOrGoesBackGrantsNothing) {
  RateLimiter limiter(100'000, START);
  limiter.take(10'000, START);
  EXPECT_EQ(limiter.take(1, START - hours(1)), 0u);
  EXPECT_EQ(limiter.take(1'000'000, START + milliseconds(50)), 5000u);
}

}  // namespace
}  // namespace pibrain
