#pragma once
// The agents that the hub can install on spokes, one for each architecture.

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace pibrain {

struct AgentProgram {
  std::string architecture;  // as `uname -m` prints it: "x86_64", "aarch64"
  std::string path;
  std::string sha256;  // of the file, hexadecimal
};

// Finds the files pi-brain-agent-ARCHITECTURE in `directory`. If it is empty: the pi-brain-agent
// beside this program, those in ../lib/pi-brain, and the one on PATH; the first of each
// architecture counts. Returns an error if there are none.
absl::StatusOr<std::vector<AgentProgram>> findAgents(const std::string& directory);

}  // namespace pibrain
