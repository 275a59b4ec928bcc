// An agent that misbehaves by the case: what a hub meets if an attacker controls a spoke.
//
// usage: hostile-agent CASE        (--list, --list-watches: the names of the cases)

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/fs/file-times.h"
#include "common/wire/protocol.h"
#include "spoke-agent/confine/stdio-stream.h"
#include "tests/e2e/hostile/script.h"

namespace hostile {
namespace {

// Returns whether the script does something else instead of answering the call.
kj::Maybe<kj::Promise<void>> instead(const Script& script, const char* call) {
  if (script.mute == call) return kj::Promise<void>(kj::NEVER_DONE);
  if (script.throwing != call) return nullptr;
  return kj::Promise<void>(kj::Exception(script.type, "agent.cc", 1,
                                         kj::heapString(script.text.data(), script.text.size())));
}

// A stream that can be told to write a byte at a time, five per second.
class Dribble : public kj::AsyncIoStream {
 public:
  Dribble(kj::AsyncIoStream& stream, kj::Timer& timer) : stream_(stream), timer_(timer) {}

  static inline bool begun = false;

  kj::Promise<size_t> read(void* buffer, size_t least, size_t most) override {
    return stream_.read(buffer, least, most);
  }
  kj::Promise<size_t> tryRead(void* buffer, size_t least, size_t most) override {
    return stream_.tryRead(buffer, least, most);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    if (!begun || size == 0) return stream_.write(buffer, size);
    auto bytes = static_cast<const char*>(buffer);
    return stream_.write(bytes, 1)
        .then([this]() { return timer_.afterDelay(200 * kj::MILLISECONDS); })
        .then([this, bytes, size]() { return write(bytes + 1, size - 1); });
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    if (pieces.size() == 0) return kj::READY_NOW;
    return write(pieces[0].begin(), pieces[0].size()).then([this, pieces]() {
      return write(pieces.slice(1, pieces.size()));
    });
  }
  kj::Promise<void> whenWriteDisconnected() override { return stream_.whenWriteDisconnected(); }
  void shutdownWrite() override { stream_.shutdownWrite(); }

 private:
  kj::AsyncIoStream& stream_;
  kj::Timer& timer_;
};

class BlocksImpl : public proto::Blocks::Server {
 public:
  BlocksImpl(const Script& script, Blocks blocks) : script_(script), blocks_(std::move(blocks)) {}

  kj::Promise<void> next(NextContext context) override {
    KJ_IF_MAYBE(other, instead(script_, "next")) return kj::mv(*other);
    Dribble::begun = script_.dribbling && answered_;
    answered_ = true;
    return blocks_().then([context](Block block) mutable {
      context.getResults().setBlock(block.bytes);
      context.getResults().setLast(block.last);
    });
  }

 private:
  const Script& script_;
  Blocks blocks_;
  bool answered_ = false;
};

class SessionsImpl : public proto::Sessions::Server {
 public:
  explicit SessionsImpl(const Script& script) : script_(script) {}

  kj::Promise<void> scan(ScanContext context) override {
    KJ_IF_MAYBE(other, instead(script_, "scan")) return kj::mv(*other);
    context.getResults().setListing(kj::heap<BlocksImpl>(script_, script_.listing()));
    return kj::READY_NOW;
  }

  kj::Promise<void> pull(PullContext context) override {
    KJ_IF_MAYBE(other, instead(script_, "pull")) return kj::mv(*other);
    std::vector<Asked> wants;
    for (auto want : context.getParams().getWants()) {
      wants.push_back({want.getFile(), want.which()});
    }
    context.getResults().setBlocks(kj::heap<BlocksImpl>(script_, script_.pull(wants)));
    return kj::READY_NOW;
  }

  kj::Promise<void> describe(DescribeContext context) override {
    KJ_IF_MAYBE(other, instead(script_, "describe")) return kj::mv(*other);
    context.getResults().setListing(kj::heap<BlocksImpl>(script_, script_.describe()));
    return kj::READY_NOW;
  }

  kj::Promise<void> digest(DigestContext context) override {
    KJ_IF_MAYBE(other, instead(script_, "digest")) return kj::mv(*other);
    context.getResults().setBlocks(kj::heap<BlocksImpl>(script_, script_.digest()));
    return kj::READY_NOW;
  }

  kj::Promise<void> signature(SignatureContext context) override {
    KJ_IF_MAYBE(other, instead(script_, "signature")) return kj::mv(*other);
    context.getResults().setBlocks(kj::heap<BlocksImpl>(script_, script_.signature()));
    return kj::READY_NOW;
  }

  kj::Promise<void> watch(WatchContext context) override {
    context.getResults().setChanges(kj::heap<BlocksImpl>(script_, script_.watch()));
    return kj::READY_NOW;
  }

 private:
  const Script& script_;
};

class SpokeImpl : public proto::Spoke::Server {
 public:
  explicit SpokeImpl(Script script) : script_(std::move(script)) {}

  kj::Promise<void> hello(HelloContext context) override {
    KJ_IF_MAYBE(other, instead(script_, "hello")) return kj::mv(*other);
    auto results = context.getResults();
    auto peer = results.initSpoke();
    peer.setVersion("9.8.7");
    peer.setProtocol(pibrain::PROTOCOL);
    peer.setOldestProtocol(pibrain::OLDEST_PROTOCOL);
    peer.setHost("hostile");
    peer.setRoot("/hostile");
    peer.setHome("/root");
    peer.setClock(pibrain::wallClockNanos());
    peer.setForced(true);
    script_.hello(peer);
    results.setSessions(kj::heap<SessionsImpl>(script_));
    return kj::READY_NOW;
  }

 private:
  const Script script_;
};

Script complete(Script script) {
  // Honest by default: one new file.
  if (!script.listing) script.listing = []() { return listingOf("p", {{"new.jsonl"}}); };
  if (!script.pull) {
    script.pull = [](const std::vector<Asked>& wants) {
      Fills all;
      for (auto& want : wants) {
        for (auto& fill : whole(want.file, "0123456789abcde\n")) all.push_back(fill);
      }
      return events(all);
    };
  }
  if (!script.describe) script.describe = []() { return events({}); };
  if (!script.digest) script.digest = []() { return events({refused(0)}); };
  if (!script.signature) script.signature = []() { return events({refused(0)}); };
  return script;
}

void serve(kj::AsyncIoStream& stream, Script script, kj::WaitScope& waitScope) {
  stream.write(pibrain::PREAMBLE.data(), pibrain::PREAMBLE.size()).wait(waitScope);
  capnp::TwoPartyVatNetwork network(stream, capnp::rpc::twoparty::Side::SERVER);
  auto rpc = capnp::makeRpcServer(network, kj::heap<SpokeImpl>(complete(std::move(script))));
  network.onDisconnect().wait(waitScope);
}

int run(const std::string& name) {
  auto scripts = listingScripts();
  scripts.merge(transferScripts());
  scripts.merge(verifyScripts());
  auto watches = watchScripts();
  if (name == "--list-watches") {
    for (auto& [known, script] : watches) puts(known.c_str());
    return 0;
  }
  auto raw = rawScripts();
  if (name == "--list") {
    for (auto& [known, script] : scripts) puts(known.c_str());
    for (auto& [known, script] : raw) puts(known.c_str());
    return 0;
  }
  scripts.merge(watches);
  auto io = kj::setupAsyncIo();
  if (auto found = scripts.find(name); found != scripts.end()) {
    auto stream = pibrain::takeStdio(io.unixEventPort);
    Dribble dribble(*stream, io.provider->getTimer());
    serve(dribble, found->second(), io.waitScope);
    return 0;
  }
  if (auto found = raw.find(name); found != raw.end()) {
    auto stream = pibrain::takeStdio(io.unixEventPort);
    found->second(*stream, io);
    // The pipes stay open, so that nothing else can cause the hub's message.
    char byte;
    while (stream->tryRead(&byte, 1, 1).wait(io.waitScope) > 0) continue;
    return 0;
  }
  fprintf(stderr, "no such case: %s\n", name.c_str());
  return 2;
}

}  // namespace
}  // namespace hostile

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  int status = 2;
  if (argc != 2) return status;
  // Each case ends when the hub hangs up.
  kj::runCatchingExceptions([&]() { status = hostile::run(argv[1]); });
  return status;
}
