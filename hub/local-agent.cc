#include <limits.h>
#include <unistd.h>

#include "hub/connection.h"
#include "hub/failure.h"
#include "hub/process-connection.h"
#include "hub/subprocess.h"

namespace pibrain {

namespace {

std::string findAgent() {
  char self[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", self, sizeof(self));
  if (length > 0) {
    std::string path(self, size_t(length));
    path = path.substr(0, path.rfind('/')) + "/pi-brain-agent";
    if (auto found = findProgram(path)) return *found;
  }
  if (auto found = findProgram("pi-brain-agent")) return *found;
  throw Failure(
      "pi-brain-agent was not found, neither beside pi-brain nor on PATH. A source without a host "
      "needs it on this machine: install it with 'cmake --install', or put it on PATH.");
}

}  // namespace

kj::Own<Connection> startLocalAgent(const std::string& root, kj::AsyncIoContext& io) {
  return kj::heap<ProcessConnection>(spawnWithSocket({findAgent(), "--root=" + root}), nullptr, io);
}

}  // namespace pibrain
