#include "hub/daemon/states.h"

#include <algorithm>

#include "common/fs/file-times.h"

namespace pibrain {

namespace {

// Returns the value below which `percent` of the values are.
int64_t percentile(std::vector<int64_t> values, size_t percent) {
  auto at = values.begin() + ptrdiff_t(values.size() * percent / 100);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// A reconnection begins a new state, each scan of a live spoke does not.
bool isUp(LiveState state) { return state != LiveState::CONNECTING; }

}  // namespace

void LiveStates::entered(const std::string& spoke, LiveState state, const std::string& why) {
  std::lock_guard lock(mutex_);
  auto& status = states_[spoke].status;
  status.nextAttempt = 0;
  // Scans are part of being live. What the state is after the first one is not known before.
  if (state == LiveState::SCANNING && status.since != 0 && isUp(status.state)) return;
  if (status.state != state || status.since == 0) status.since = wallClockNanos();
  if (isUp(state)) status.failure = std::nullopt;
  status.state = state;
  status.why = why;
}

void LiveStates::changed(const std::string& spoke, const LiveChange& change) {
  std::lock_guard lock(mutex_);
  auto& state = states_[spoke];
  state.status.lastChange = change.mirrored;
  if (state.status.unflushed == 0) state.status.unflushed = change.mirrored;
  if (change.written == 0) return;
  if (state.lags.size() >= MAX_LAGS) state.lags.pop_front();
  state.lags.push_back(std::max<int64_t>(0, change.mirrored - change.written));
}

void LiveStates::flushed(const std::string& spoke) {
  std::lock_guard lock(mutex_);
  states_[spoke].status.unflushed = 0;
}

void LiveStates::passed(const std::string& spoke, const SpokeReport& report) {
  std::lock_guard lock(mutex_);
  auto& status = states_[spoke].status;
  status.lastPass = report.finished;
  status.failure = report.failure;
  if (report.outcome == Outcome::OK) status.unflushed = 0;
  bool news = report.counts.created + report.counts.grown + report.counts.rewritten > 0;
  if (news) status.lastChange = report.finished;
}

void LiveStates::lost(const std::string& spoke, const Failure& failure,
                      std::chrono::milliseconds pause) {
  std::lock_guard lock(mutex_);
  auto& status = states_[spoke].status;
  auto now = wallClockNanos();
  if (status.state != LiveState::CONNECTING) status.since = now;
  status.state = LiveState::CONNECTING;
  status.why.clear();
  status.failure = failure;
  status.nextAttempt = now + std::chrono::nanoseconds(pause).count();
}

void LiveStates::forget(const std::string& spoke) {
  std::lock_guard lock(mutex_);
  states_.erase(spoke);
}

LiveStatus LiveStates::of(const std::string& spoke) const {
  std::lock_guard lock(mutex_);
  LiveStatus status;
  if (auto found = states_.find(spoke); found != states_.end()) {
    status = found->second.status;
    auto& lags = found->second.lags;
    if (!lags.empty()) {
      status.lagP50 = percentile({lags.begin(), lags.end()}, 50);
      status.lagP99 = percentile({lags.begin(), lags.end()}, 99);
    }
  }
  status.name = spoke;
  return status;
}

}  // namespace pibrain
