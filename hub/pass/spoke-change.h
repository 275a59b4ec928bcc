#pragma once

#include <stdint.h>

#include <string>
#include <vector>

namespace pibrain {

// What was done to one spoke.
struct SpokeChange {
  std::string name;
  std::string target;   // the login that it went by
  std::string outcome;  // "added", "upgraded", "rotated", "removed", "unchanged", "failed"
  std::string error;    // "failed": why, for a person
  std::string architecture, agent, line;  // as in RemoteInstall; empty: not touched
  bool rootMissing = false;               // pi has not run there yet
  std::vector<std::string> said;
  int64_t started = 0, finished = 0;  // ns since the epoch
  bool ok() const { return error.empty(); }
};

}  // namespace pibrain
