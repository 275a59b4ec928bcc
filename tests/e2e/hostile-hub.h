#pragma once
// A hostile hub: it calls an agent by the same schema, and misbehaves.

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include <map>
#include <string>
#include <vector>

#include "common/wire/block-stream.h"
#include "proto/agent.capnp.h"

namespace pibrain {

// The connection, which records everything that it receives.
class Tap : public kj::AsyncIoStream {
 public:
  Tap(kj::Own<kj::AsyncIoStream> inner, int log) : inner_(kj::mv(inner)), log_(log) {}

  // From now on nothing is read.
  void stopReading() { deaf_ = true; }

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override {
    return inner_->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }

 private:
  kj::Own<kj::AsyncIoStream> inner_;
  int log_;
  bool deaf_ = false;
};

struct Hub {
  Hub(kj::AutoCloseFd socket, int log);

  // Reads the preamble alone; for cases that write raw bytes.
  void greet();
  // greet(), and says hello.
  void connect();
  // Scans, and sets `files` to the number of files.
  void scan();

  // Reads a stream to its end, and prints its events by kind and refusals by reason. All content
  // goes to the log.
  std::string drain(proto::Blocks::Client blocks);
  // Reads its first block only.
  std::string taste(proto::Blocks::Client blocks);
  // The same for one want, printed under that name, with the seconds that it took.
  template <typename Fill>
  void pull(const std::string& name, uint32_t file, Fill&& fill) {
    timed(name, [&]() {
      auto request = sessions.pullRequest();
      auto want = request.initWants(1)[0];
      want.setFile(file);
      fill(want);
      return drain(request.send().getBlocks());
    });
  }
  // Prints what `work` returns or throws, and how long it took.
  void timed(const std::string& name, kj::FunctionParam<std::string()> work);
  // Prints a line, and continues when the caller of this program answers.
  void pause(const char* word);

  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::Own<Tap> stream;
  kj::Own<capnp::TwoPartyVatNetwork> network;
  kj::Own<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> rpc;
  proto::Spoke::Client spoke = nullptr;
  proto::Sessions::Client sessions = nullptr;
  std::vector<kj::Promise<void>> unawaited;
  uint32_t files = 0;
  int log;
};

// The ids of the files that the test puts into the root, in the order of their names.
enum FileId : uint32_t { TINY, LARGE, SMALL, ZEROS };

// Ways to misbehave, by name.
using Cases = std::map<std::string, void (*)(Hub&)>;
extern const Cases HOSTILE_BYTES;  // hostile-bytes.cc: not even messages
extern const Cases HOSTILE_CALLS;  // hostile-calls.cc: calls with hostile arguments
extern const Cases HOSTILE_CROWD;  // hostile-crowd.cc: too many of them

}  // namespace pibrain
