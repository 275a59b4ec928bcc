#pragma once

#include <kj/async.h>
#include <kj/timer.h>
#include <stdint.h>

#include "hub/agent/preamble.h"

namespace pibrain {

// How long a peer may take to answer one kind of request.
struct WatchPolicy {
  uint32_t idleSeconds;  // without a byte for so long, the peer is gone
  // A peer that sends fewer bytes a second, over `idleLimits` idle limits of waiting, counts as
  // gone: otherwise it could keep a run going for ever, a byte at a time. No useful link is so
  // slow, nor is an agent that reads large files between two short answers. 0: not checked, and the
  // time of this wait does not count for other waits.
  uint64_t minBytesPerSecond = 8;
  uint32_t idleLimits = 10;
  // The idle time counts from the last byte, not from when this wait began: of many short waits for
  // what may never come, each would begin anew.
  bool sinceLastByte = false;

  // Returns how long so little is tolerated.
  uint64_t patienceSeconds() const { return uint64_t(idleSeconds) * idleLimits; }
};

// Ends waits for a peer that is silent or sends almost nothing.
class Watchdog {
 public:
  // `received` counts the bytes; it and the timer must outlive this.
  Watchdog(kj::Timer& timer, const PreambleFilter& received) : timer_(timer), received_(received) {}

  // Waits for the promise, or throws an exception for which fellSilent() or trickled() is true. One
  // call at a time.
  template <typename T>
  kj::Promise<T> watch(kj::Promise<T> promise, const WatchPolicy& policy) {
    begin(policy);
    return promise.exclusiveJoin(look().then([]() -> kj::Promise<T> { KJ_UNREACHABLE; }))
        .attach(kj::defer([this]() { end(); }));
  }

 private:
  void begin(const WatchPolicy& policy);
  void end();
  // Looks again whenever a limit may have been reached, and not more often: an idle hub sleeps.
  kj::Promise<void> look();
  bool bringsNextToNothing();
  kj::TimePoint silentAt() const;
  kj::TimePoint judgedAt() const;

  kj::Timer& timer_;
  const PreambleFilter& received_;
  WatchPolicy policy_;  // of the current wait
  // The total time of waits since the rate was last checked, without the current one, and the bytes
  // received by then. Several waits count together, since a peer may send many short answers, each
  // a little late.
  kj::Duration waited_ = 0 * kj::SECONDS;
  kj::TimePoint waitBegan_ = kj::origin<kj::TimePoint>();
  uint64_t judged_ = 0;
};

// Return whether the error means that a peer was silent for too long, or sent too little.
bool fellSilent(const kj::Exception& error);
bool trickled(const kj::Exception& error);

}  // namespace pibrain
