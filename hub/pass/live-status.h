#pragma once

#include <stdint.h>

#include <optional>
#include <string>

#include "hub/base/failure.h"
#include "hub/pass/live.h"

namespace pibrain {

// What a daemon knows of one spoke. Times are ns since the epoch.
struct LiveStatus {
  std::string name;
  LiveState state = LiveState::CONNECTING;
  std::string why;         // as in LiveObserver::entered()
  int64_t since = 0;       // when the state began
  int64_t lastChange = 0;  // 0: none since the daemon started
  // When the first change was mirrored that is perhaps not on the hub's disk yet; 0: all are.
  int64_t unflushed = 0;
  int64_t lastPass = 0;              // when the latest scan ended; 0: none
  int64_t lagP50 = -1, lagP99 = -1;  // ns from the write on the spoke to the mirror; -1: unknown
  int64_t nextAttempt = 0;           // 0: it is connected
  std::optional<Failure> failure;    // of the latest attempt or scan
};

// Returns the state as people read it: "offline" for a spoke that is away (P10), "failed" for one
// that only a person can bring back, and otherwise toString(LiveState).
const char* shownState(const LiveStatus& spoke);

}  // namespace pibrain
