#include "hub/run/retry-pause.h"

#include <algorithm>
#include <random>

namespace pibrain {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds FIRST(1000), LONGEST(60'000);
// Only a person can change these, so trying often is of no use.
constexpr milliseconds FOR_A_PERSON(300'000);
// A connection that worked for so long was a good one.
constexpr std::chrono::seconds GOOD(60);

}  // namespace

milliseconds RetryPause::after(FailureId failure, std::chrono::seconds lived) {
  if (lived >= GOOD) failures_ = 0;
  if (needsAPerson(failure)) return FOR_A_PERSON;
  auto most = std::min(LONGEST, FIRST * (1 << std::min(failures_, 10u)));
  ++failures_;
  static thread_local std::mt19937 random{std::random_device()()};
  return milliseconds(std::uniform_int_distribution<int64_t>(0, most.count())(random));
}

}  // namespace pibrain
