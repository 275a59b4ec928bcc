#pragma once

#include <kj/async-io.h>

#include <chrono>
#include <memory>

#include "hub/base/rate-limiter.h"
#include "hub/base/subprocess.h"
#include "hub/link/connection.h"

namespace pibrain {

// A connection whose stream is the standard input and output of a program on this machine: the
// agent itself, or ssh. The destructor kills the program if it still runs.
class ProcessConnection : public Connection, private kj::AsyncIoStream {
 public:
  // `limiter` (null: none) paces what goes through the stream, both ways together.
  ProcessConnection(Spawned child, std::shared_ptr<RateLimiter> limiter, kj::AsyncIoContext& io);
  ~ProcessConnection() noexcept(false);

  kj::AsyncIoStream& stream() override { return *this; }
  WireBytes wire() const override { return wire_; }
  ExitInfo exitInfo(kj::WaitScope& waitScope) override;

 private:
  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }

  kj::Promise<size_t> pacedRead(kj::byte* buffer, size_t minBytes, size_t maxBytes, size_t got);
  // Resolves when at least one byte may pass, with how many of `wanted` bytes may.
  kj::Promise<size_t> allowance(size_t wanted);
  int reap(std::chrono::milliseconds patience);

  pid_t pid_;
  int status_ = 0;
  kj::AutoCloseFd errors_;
  std::shared_ptr<RateLimiter> limiter_;
  kj::Timer& timer_;
  kj::Own<kj::AsyncIoStream> inner_;
  WireBytes wire_;
};

}  // namespace pibrain
