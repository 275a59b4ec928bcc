#pragma once
// The agent's programs that the hub can put on spokes, one for each architecture.

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace pibrain {

struct AgentProgram {
  std::string architecture;  // as `uname -m` says it: "x86_64", "aarch64"
  std::string path;
  std::string sha256;  // of its content, hexadecimal
};

// Those in `directory`, named pi-brain-agent-ARCHITECTURE. Without one (empty): for this machine's
// architecture the pi-brain-agent beside this program, those in ../lib/pi-brain, and the one on
// PATH, of each architecture the first. An error if there are none.
absl::StatusOr<std::vector<AgentProgram>> findAgents(const std::string& directory);

}  // namespace pibrain
