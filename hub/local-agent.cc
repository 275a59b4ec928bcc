#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "common/text.h"
#include "hub/connection.h"
#include "hub/failure.h"
#include "hub/subprocess.h"

namespace pibrain {

namespace {

constexpr size_t MAX_ERRORS = 16 * 1024;

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

class LocalAgent : public Connection, private kj::AsyncIoStream {
 public:
  LocalAgent(Spawned child, kj::LowLevelAsyncIoProvider& io)
      : pid_(child.pid),
        errors_(kj::mv(child.errors)),
        inner_(io.wrapSocketFd(kj::mv(child.stdio))) {}

  ~LocalAgent() noexcept(false) {
    inner_ = nullptr;  // the agent ends when its input does
    reap(std::chrono::milliseconds(0));
  }

  kj::AsyncIoStream& stream() override { return *this; }
  WireBytes wire() const override { return wire_; }

  Farewell farewell(kj::WaitScope&) override {
    inner_->shutdownWrite();
    int status = reap(std::chrono::seconds(1));
    return {readBack(errors_, MAX_ERRORS),
            WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt};
  }

 private:
  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return inner_->tryRead(buffer, minBytes, maxBytes).then([this](size_t n) {
      wire_.down += n;
      return n;
    });
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    wire_.up += size;
    return inner_->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto piece : pieces) wire_.up += piece.size();
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }

  // It only reads, so there is nothing that it has to finish.
  int reap(std::chrono::milliseconds patience) {
    if (pid_ > 0) waitOrKill(pid_, patience, status_);
    pid_ = -1;
    return status_;
  }

  pid_t pid_;
  int status_ = 0;
  kj::AutoCloseFd errors_;
  kj::Own<kj::AsyncIoStream> inner_;
  WireBytes wire_;
};

}  // namespace

kj::Own<Connection> startLocalAgent(const std::string& root, kj::AsyncIoContext& io) {
  return kj::heap<LocalAgent>(spawnWithSocket({findAgent(), "--root=" + root}),
                              *io.lowLevelProvider);
}

}  // namespace pibrain
