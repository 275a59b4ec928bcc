#pragma once
// The pair of pipes that sshd gives a command, as one stream.

#include <kj/async-io.h>

namespace pibrain {

class StdioStream : public kj::AsyncIoStream {
 public:
  StdioStream(kj::Own<kj::AsyncInputStream> in, kj::Own<kj::AsyncOutputStream> out)
      : in_(kj::mv(in)), out_(kj::mv(out)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return in_->tryRead(buffer, minBytes, maxBytes);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    return out_->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return out_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return out_->whenWriteDisconnected(); }
  void shutdownWrite() override { out_ = nullptr; }

 private:
  kj::Own<kj::AsyncInputStream> in_;
  kj::Own<kj::AsyncOutputStream> out_;
};

// Ends the program, a second after the hub has hung up, whatever it is at then. Call it before
// takeStdio().
void endAfterHangUp();

// Takes standard input and output over. File descriptor 1 becomes standard error, so that a stray
// print cannot corrupt the protocol. Throws, in words for the person who started the program, if
// either is not a pipe or a socket.
kj::Own<kj::AsyncIoStream> takeStdio(kj::LowLevelAsyncIoProvider& io);

}  // namespace pibrain
