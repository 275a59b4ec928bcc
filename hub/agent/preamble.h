#pragma once

#include <kj/async-io.h>
#include <kj/time.h>
#include <kj/vector.h>

#include <string>

namespace pibrain {

// Passes a stream through after the agent's preamble. Anything before it was printed by a shell's
// start-up files, and is kept for a warning; more than MAX_SHELL_NOISE of it, or the end of the
// stream, fails the read. Writes do not wait for the preamble.
class PreambleFilter : public kj::AsyncIoStream {
 public:
  explicit PreambleFilter(kj::AsyncIoStream& inner) : inner_(inner) {}

  bool found() const { return found_; }
  // Returns what came before the preamble; everything, if the preamble did not come.
  std::string noise() const;

  // Returns the bytes received so far, including noise and preamble.
  uint64_t received() const { return received_; }
  // Returns when the last of them arrived, by the coarse monotonic clock; its origin: none did.
  kj::TimePoint lastReceived() const { return lastReceived_; }

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override {
    return inner_.write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner_.write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_.whenWriteDisconnected(); }
  void shutdownWrite() override { inner_.shutdownWrite(); }

 private:
  kj::Promise<void> seek();
  void count(size_t bytes);
  kj::Promise<size_t> readOn(kj::byte* buffer, size_t minBytes, size_t maxBytes, size_t done);

  kj::AsyncIoStream& inner_;
  char buffer_[4096];
  bool found_ = false;
  std::string seen_;  // everything up to the preamble's end, and what followed it
  size_t noiseLength_ = 0;
  uint64_t received_ = 0;
  kj::TimePoint lastReceived_ = kj::origin<kj::TimePoint>();
  size_t next_ = 0;  // index in seen_ of what to pass on next
};

}  // namespace pibrain
