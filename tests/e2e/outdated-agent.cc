// An agent with another protocol version, as a hub meets it that is older or newer than the spoke.
// Its clock may be wrong. It serves nothing.
//
// usage: outdated-agent PROTOCOL OLDEST_PROTOCOL [SECONDS_AHEAD]

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <stdlib.h>

#include "common/fs/file-times.h"
#include "common/wire/protocol.h"
#include "proto/agent.capnp.h"
#include "spoke-agent/confine/stdio-stream.h"

namespace {

class Spoke : public pibrain::proto::Spoke::Server {
 public:
  Spoke(uint32_t protocol, uint32_t oldest, int64_t ahead)
      : protocol_(protocol), oldest_(oldest), ahead_(ahead) {}

  kj::Promise<void> hello(HelloContext context) override {
    auto peer = context.getResults().initSpoke();
    peer.setVersion("9.8.7");
    peer.setProtocol(protocol_);
    peer.setOldestProtocol(oldest_);
    peer.setClock(pibrain::wallClockNanos() + ahead_ * 1'000'000'000);
    return kj::READY_NOW;
  }

 private:
  uint32_t protocol_;
  uint32_t oldest_;
  int64_t ahead_;  // seconds
};

}  // namespace

int main(int argc, char** argv) {
  auto io = kj::setupAsyncIo();
  auto stream = pibrain::takeStdio(io.unixEventPort);
  stream->write(pibrain::PREAMBLE.data(), pibrain::PREAMBLE.size()).wait(io.waitScope);
  capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::SERVER);
  auto rpc = capnp::makeRpcServer(network,
                                  kj::heap<Spoke>(uint32_t(atoi(argv[1])), uint32_t(atoi(argv[2])),
                                                  argc > 3 ? atoll(argv[3]) : 0));
  network.onDisconnect().wait(io.waitScope);
}
