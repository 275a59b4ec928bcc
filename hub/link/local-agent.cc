#include <sys/utsname.h>

#include <filesystem>
#include <string>

#include "common/fs/own-program.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/link/connection.h"
#include "hub/link/process-connection.h"

namespace pibrain {

namespace {

std::string findAgent() {
  auto directory = std::filesystem::path(ownProgram()).parent_path();
  struct utsname machine;
  std::string architecture = uname(&machine) == 0 ? machine.machine : "";
  // A package may install only the agents that are meant for spokes.
  for (auto& place :
       {(directory / "pi-brain-agent").string(), std::string("pi-brain-agent"),
        (directory.parent_path() / "lib/pi-brain/pi-brain-agent-").string() + architecture}) {
    if (auto found = findProgram(place)) return *found;
  }
  throw Failure(
      FailureId::AGENT_MISSING,
      "pi-brain-agent was not found on this machine, neither beside pi-brain nor on PATH",
      "A source without a host needs the agent on this machine.",
      {{"Install pi-brain-agent with 'cmake --install' or from its package, or put it on PATH",
        ""}});
}

}  // namespace

kj::Own<Connection> startLocalAgent(const std::string& root, kj::AsyncIoContext& io) {
  return kj::heap<ProcessConnection>(spawnWithSocket({findAgent(), "--root=" + root}), nullptr, io);
}

}  // namespace pibrain
