#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/live-status.h"

namespace pibrain {

// Sorted by how urgent they are.
enum class SpokeState {
  FAILED,  // the latest run failed, or the mirror is gone
  NEVER,   // never synced
  STALE,   // the last good run is too long ago
  EMPTY,   // the latest run found no files, but the mirror has some
  GOOD,
  DISABLED,
};
const char* toString(SpokeState state);

// What `sync status` shows of a spoke, in any form.
struct SpokeStatus {
  const SpokeConfig* config;
  bool exists = false;  // the mirror
  bool isFile = false;  // there is something else in the mirror's place
  uint32_t sessions = 0;
  uint32_t files = 0;
  uint64_t bytes = 0;
  Store::LastRuns runs;
  uint64_t archiveBytes = 0;
  std::optional<LiveStatus> live;  // what a daemon knows; nullopt: none keeps it

  // Returns how long ago the last good run began, in ns: what the spoke wrote since may be missing.
  std::optional<int64_t> lag(int64_t now) const;
  SpokeState state(int64_t now) const;
  // Returns what a person must look at: the latest failure, or what is wrong although no run
  // failed.
  std::optional<Failure> problem(int64_t now) const;
};

struct Status {
  std::string hubName;
  uint32_t hubSessions = 0;
  bool rsyncAvailable = false;
  std::vector<SpokeStatus> spokes;
  uint32_t total = 0;
};

// Reads the history, the mirrors and the archive. `warn` receives what cannot be read.
Status statusOf(const Config& config, const std::function<void(const std::string&)>& warn);

}  // namespace pibrain
