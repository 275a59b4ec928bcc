#include "common/fs/own-program.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/link/connection.h"
#include "hub/link/process-connection.h"

namespace pibrain {

namespace {

std::string findAgent() {
  auto self = ownProgram();
  if (!self.empty()) {
    auto beside = self.substr(0, self.rfind('/')) + "/pi-brain-agent";
    if (auto found = findProgram(beside)) return *found;
  }
  if (auto found = findProgram("pi-brain-agent")) return *found;
  throw Failure(FailureId::AGENT_MISSING,
                "pi-brain-agent was not found on this machine, neither beside pi-brain nor on PATH",
                "A source without a host needs it on this machine.",
                {{"Install it with 'cmake --install' or from its package, or put it on PATH", ""}});
}

}  // namespace

kj::Own<Connection> startLocalAgent(const std::string& root, kj::AsyncIoContext& io) {
  return kj::heap<ProcessConnection>(spawnWithSocket({findAgent(), "--root=" + root}), nullptr, io);
}

}  // namespace pibrain
