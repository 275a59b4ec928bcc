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

// Those in `directory`, named pi-brain-agent-ARCHITECTURE. Without one (empty), those in
// ../lib/pi-brain beside this program, and for this machine's architecture the pi-brain-agent that
// stands beside this program or on PATH. An error if there are none.
absl::StatusOr<std::vector<AgentProgram>> findAgents(const std::string& directory);

}  // namespace pibrain
