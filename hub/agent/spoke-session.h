#pragma once
// The hub's side of the protocol with one agent. Every method blocks, running the event loop.

#include <capnp/rpc-twoparty.h>
#include <kj/time.h>

#include <deque>
#include <string>
#include <vector>

#include "common/wire/block-stream.h"
#include "common/wire/digest.h"
#include "common/wire/message-guard.h"
#include "hub/agent/answers-only.h"
#include "hub/agent/listing.h"
#include "hub/agent/plan.h"
#include "hub/agent/preamble.h"
#include "hub/agent/want.h"
#include "hub/link/connection.h"
#include "proto/agent.capnp.h"

namespace pibrain {

// The agent's hello.
struct AgentInfo {
  std::string version;
  uint32_t protocol = 0;
  uint32_t oldestProtocol = 0;
  std::string host;
  int64_t clock = 0;  // ns since the epoch
  std::string root;
  std::string home;
  proto::RootState rootState = proto::RootState::SERVED;
  std::string sandbox;
  bool forced = false;
  bool keyed = false;
  bool hashesBeginnings = false;
};

// Whether this is the error of a connection that was silent for too long, or brought too little.
bool fellSilent(const kj::Exception& error);
bool trickled(const kj::Exception& error);

class SpokeSession {
 public:
  // A connection that is silent for `idleSeconds` has failed, and so has a spoke whose listing
  // takes more than `listingBytes` of memory.
  SpokeSession(Connection& connection, kj::AsyncIoContext& io, uint32_t idleSeconds,
               uint64_t listingBytes);

  // Sends hello and the first scan in one flight. `greeted` gets the answer to the hello, and may
  // throw, before the listing is read.
  Listing open(const Known& known, kj::FunctionParam<void(const AgentInfo&)> greeted);

  // Lets the agent walk its tree anew, and list what differs from what is known, even if nothing
  // does. open() comes first.
  Listing scanAgain(const Known& known);

  // Sends hello alone.
  AgentInfo greet();

  // Sends the wants and calls `event` for each event of the answer, until it returns false: the
  // rest is not asked for any more.
  void pull(kj::ArrayPtr<const Want> wants, kj::FunctionParam<bool(proto::Event::Reader)> event);

  // Calls `event` for the answer about each of these files, in their order: digest, or refused.
  // `lengths`: of how many of each file's first bytes, if the agent hashesBeginnings(); empty: of
  // all.
  void digests(kj::ArrayPtr<const uint32_t> files,
               kj::FunctionParam<void(proto::Event::Reader)> event,
               kj::ArrayPtr<const uint64_t> lengths = nullptr);
  bool hashesBeginnings() const { return hashesBeginnings_; }

  // librsync's signature of a file, of lengths that the agent chooses; empty if it was refused.
  kj::Vector<kj::byte> signature(uint32_t file);

  // What hashes are made with in this conversation. Before the hello is answered, and if the agent
  // knows no secrets, that is the one that everybody knows.
  FileHasher::Secret secret() const { return keyed_ ? secret_.asPtr() : nullptr; }

  const PreambleFilter& preamble() const { return preamble_; }
  uint32_t idleSeconds() const { return idleSeconds_; }

 private:
  using Ask = kj::Promise<capnp::Response<proto::Blocks::NextResults>>;

  capnp::RemotePromise<proto::Spoke::HelloResults> sendHello();
  capnp::Request<proto::Sessions::ScanParams, proto::Sessions::ScanResults> scanRequest(
      const Known& known, bool everything);
  // Both read a stream of blocks whose first one has been asked for.
  Listing readListing(proto::Blocks::Client blocks, const Known& known, Ask first);
  void readBlocks(proto::Blocks::Client blocks, Ask first,
                  kj::FunctionParam<bool(proto::Event::Reader)> event);
  void readAllBlocks(proto::Blocks::Client blocks, Ask first,
                     kj::FunctionParam<void(proto::Event::Reader)> event);
  template <typename T>
  T wait(kj::Promise<T> promise);
  // Fails when nothing was received for ten tenths of the idle limit, or next to nothing for ten
  // idle limits. `seen`: the bytes received when it last looked; `quietTenths`: how often there
  // were no more since.
  kj::Promise<void> idleWatch(uint64_t seen, uint32_t quietTenths);
  bool bringsNextToNothing();

  AgentInfo answered(proto::Peer::Reader peer);

  kj::AsyncIoContext& io_;
  const kj::Array<kj::byte> secret_;
  bool keyed_ = false;
  bool hashesBeginnings_ = false;
  uint32_t idleSeconds_;
  uint64_t listingBytes_;
  // How long all answers were waited for since the rate was judged last, but for the wait that is
  // going on, and the bytes that had been received then. One answer says little: a peer may bring
  // many short ones, each a little late.
  kj::Duration waited_ = 0 * kj::SECONDS;
  kj::TimePoint waitBegan_ = kj::origin<kj::TimePoint>();
  uint64_t judged_ = 0;
  PreambleFilter preamble_;
  MessageGuard guard_;
  AnswersOnly answers_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  proto::Sessions::Client sessions_;
};

}  // namespace pibrain
