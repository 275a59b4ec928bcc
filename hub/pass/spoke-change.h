#pragma once

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"

namespace pibrain {

// What a command changed on one spoke.
struct SpokeChange {
  std::string name;
  std::string target;  // the login that was used
  // "added", "changed", "upgraded", "rotated", "renamed", "enabled", "disabled", "removed",
  // "unchanged", "failed"
  std::string outcome;
  std::optional<Failure> failure;         // "failed"
  std::string architecture, agent, line;  // as in RemoteInstall; empty: unchanged
  std::string version, formerVersion;     // of the agent, as far as they are known
  bool rootMissing = false;               // pi has not run on the spoke yet
  std::vector<std::string> said;
  int64_t started = 0, finished = 0;  // ns since the epoch

  bool ok() const { return !failure; }
  // Returns why it failed, in one line; empty if it did not.
  std::string error() const { return failure ? failure->what() : ""; }
};

}  // namespace pibrain
