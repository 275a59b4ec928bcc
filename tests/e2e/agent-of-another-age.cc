// An agent that speaks another protocol version: what a hub meets that is older or newer than the
// spoke. usage: agent-of-another-age PROTOCOL OLDEST_PROTOCOL

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <stdlib.h>

#include "common/protocol.h"
#include "proto/agent.capnp.h"
#include "spoke-agent/stdio-stream.h"

namespace {

class Spoke : public pibrain::proto::Spoke::Server {
 public:
  Spoke(uint32_t protocol, uint32_t oldest) : protocol_(protocol), oldest_(oldest) {}

  kj::Promise<void> hello(HelloContext context) override {
    auto peer = context.getResults().initSpoke();
    peer.setVersion("9.8.7");
    peer.setProtocol(protocol_);
    peer.setOldestProtocol(oldest_);
    return kj::READY_NOW;
  }

 private:
  uint32_t protocol_;
  uint32_t oldest_;
};

}  // namespace

int main(int, char** argv) {
  auto io = kj::setupAsyncIo();
  auto stream = pibrain::takeStdio(*io.lowLevelProvider);
  stream->write(pibrain::PREAMBLE.data(), pibrain::PREAMBLE.size()).wait(io.waitScope);
  capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::SERVER);
  auto rpc = capnp::makeRpcServer(
      network, kj::heap<Spoke>(uint32_t(atoi(argv[1])), uint32_t(atoi(argv[2]))));
  network.onDisconnect().wait(io.waitScope);
}
