#pragma once

#include <capnp/serialize-async.h>
#include <kj/async-io.h>

namespace pibrain {

// The messages of Cap'n Proto's RPC with an agent, which sends only answers. Reading fails on any
// other message (rpc.capnp): calls would need answers and pile up, and other messages would count
// as signs of life for ever.
class AnswersOnly : public capnp::MessageStream {
 public:
  // The stream is not owned.
  explicit AnswersOnly(kj::AsyncIoStream& stream) : inner_(stream) {}

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fds, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override;
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> fds,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    return inner_.writeMessage(fds, segments);
  }
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    return inner_.writeMessages(messages);
  }
  kj::Maybe<int> getSendBufferSize() override { return inner_.getSendBufferSize(); }
  kj::Promise<void> end() override { return inner_.end(); }

 private:
  capnp::AsyncIoMessageStream inner_;
};

}  // namespace pibrain
