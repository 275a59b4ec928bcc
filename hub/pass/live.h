#pragma once
// What a live session with a spoke tells its observer.

#include <stdint.h>

#include <string>

#include "hub/base/failure.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

enum class LiveState {
  CONNECTING,
  SCANNING,   // compares everything
  LIVE,       // the kernel of the spoke tells of changes
  POLLING,    // of some, or all, directories the agent must look for changes itself
  SCHEDULED,  // waits for its next run by rsync
};
const char* toString(LiveState state);

// A change that is in the mirror.
struct LiveChange {
  ChangeKind kind = ChangeKind::GROW;
  std::string path;           // relative to the mirror
  uint64_t from = 0, to = 0;  // the bytes of the file that are new
  int64_t written = 0;        // the file's mtime on the spoke, ns since the epoch
  int64_t mirrored = 0;       // when a reader could find it, by the hub's clock
};

// Called by the thread that has the session, and must not block it.
class LiveObserver {
 public:
  virtual ~LiveObserver() = default;
  // `why`: for POLLING, why; for SCHEDULED, the schedule; otherwise empty.
  virtual void entered(LiveState state, const std::string& why) = 0;
  virtual void changed(const LiveChange& change) = 0;
  // All changes that were told are on the disk. `wire`: what travelled since the last flush or
  // scan.
  virtual void flushed(const WireBytes& wire) = 0;
  // A scan and what it led to have ended, well or not.
  virtual void passed(const SpokeReport& report) = 0;
};

}  // namespace pibrain
