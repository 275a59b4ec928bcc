#pragma once
// The two sides of a conversation in one thread.

#include <capnp/rpc-twoparty.h>

#include "common/wire/protocol.h"
#include "hub/link/connection.h"
#include "proto/agent.capnp.h"

namespace pibrain::fuzz {

// An agent at the other end of a pipe.
class PipeConnection : public Connection {
 public:
  explicit PipeConnection(kj::Own<kj::AsyncIoStream> stream) : stream_(kj::mv(stream)) {}
  kj::AsyncIoStream& stream() override { return *stream_; }
  WireBytes wire() const override { return {}; }
  ExitInfo exitInfo(kj::WaitScope&) override { return {}; }

 private:
  kj::Own<kj::AsyncIoStream> stream_;
};

// Serves `spoke` at one end of a pipe for the lifetime of this object, as serve() of agent-server.h
// does until the hub hangs up.
class Server {
 public:
  Server(kj::AsyncIoStream& stream, proto::Spoke::Client spoke)
      : begun_(stream.write(PREAMBLE.data(), PREAMBLE.size())
                   .then([this, &stream, spoke = kj::mv(spoke)]() mutable {
                     network_ = kj::heap<capnp::TwoPartyVatNetwork>(
                         stream, capnp::rpc::twoparty::Side::SERVER);
                     rpc_ = kj::heap(capnp::makeRpcServer(*network_, kj::mv(spoke)));
                   })
                   .eagerlyEvaluate([](kj::Exception&&) {})) {}

 private:
  kj::Own<capnp::TwoPartyVatNetwork> network_;
  kj::Own<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> rpc_;
  kj::Promise<void> begun_;
};

}  // namespace pibrain::fuzz
