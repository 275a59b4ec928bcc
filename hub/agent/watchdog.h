#pragma once

#include <kj/async.h>
#include <kj/timer.h>
#include <stdint.h>

#include "hub/agent/preamble.h"

namespace pibrain {

// How long a peer that was asked something may take. It is for one kind of question: who asks to
// be told of what is yet to happen, say, waits for longer.
struct WatchPolicy {
  uint32_t idleSeconds;  // without a byte for so long, it is gone
  // Fewer bytes than these a second, over so many idle limits of waiting for it, and it is as good
  // as gone. No link that is of use is so slow, nor an agent that reads large files between two
  // short answers; but a peer could keep a run going for ever, a byte at a time. 0: not judged, and
  // the time of this wait does not count for those that are.
  uint64_t minBytesPerSecond = 8;
  uint32_t idleLimits = 10;

  // For how long so little is borne.
  uint64_t patienceSeconds() const { return uint64_t(idleSeconds) * idleLimits; }
};

// Ends waits for a peer that has fallen silent or brings next to nothing.
class Watchdog {
 public:
  // `received` counts what came; it and the timer have to outlive this.
  Watchdog(kj::Timer& timer, const PreambleFilter& received) : timer_(timer), received_(received) {}

  // The promise, or an exception for which fellSilent() or trickled() is true. One at a time.
  template <typename T>
  kj::Promise<T> watch(kj::Promise<T> promise, const WatchPolicy& policy) {
    begin(policy);
    return promise
        .exclusiveJoin(
            look(received_.received(), 0).then([]() -> kj::Promise<T> { KJ_UNREACHABLE; }))
        .attach(kj::defer([this]() { end(); }));
  }

 private:
  void begin(const WatchPolicy& policy);
  void end();
  // Looks ten times an idle limit. `seen`: the bytes received when it last looked; `quietTenths`:
  // how often there were no more since.
  kj::Promise<void> look(uint64_t seen, uint32_t quietTenths);
  bool bringsNextToNothing();

  kj::Timer& timer_;
  const PreambleFilter& received_;
  WatchPolicy policy_;  // of the wait that is going on
  // Total time spent waiting since the rate was last judged, but for the wait that is going on, and
  // the bytes that had been received then. One answer says little: a peer may bring many short
  // ones, each a little late.
  kj::Duration waited_ = 0 * kj::SECONDS;
  kj::TimePoint waitBegan_ = kj::origin<kj::TimePoint>();
  uint64_t judged_ = 0;
};

// Whether this is the error of a peer that was silent for too long, or brought too little.
bool fellSilent(const kj::Exception& error);
bool trickled(const kj::Exception& error);

}  // namespace pibrain
