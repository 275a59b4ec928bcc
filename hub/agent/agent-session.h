#pragma once
// A conversation with one spoke's agent: the one place that asks it anything, and that knows what
// it meant if that breaks. What it answers is read by whoever asked. Every method blocks, running
// the event loop.

#include <capnp/rpc-twoparty.h>

#include <string>
#include <vector>

#include "common/wire/block-stream.h"
#include "common/wire/digest.h"
#include "common/wire/message-guard.h"
#include "hub/agent/agent-info.h"
#include "hub/agent/answers-only.h"
#include "hub/agent/listing.h"
#include "hub/agent/lockdown.h"
#include "hub/agent/preamble.h"
#include "hub/agent/want.h"
#include "hub/agent/watchdog.h"
#include "hub/config/config.h"
#include "hub/connect/connector.h"
#include "hub/link/connection.h"
#include "proto/agent.capnp.h"

namespace pibrain {

class AgentSession {
 public:
  struct Limits {
    uint32_t idleSeconds;   // a connection that is silent for so long has failed
    uint64_t listingBytes;  // of memory that the spoke's listing may take
  };
  // The limits of a run.
  static Limits limitsOf(const SpokeConfig& spoke, const HubConfig& hub);

  // Connects. Throws Failure if that fails.
  AgentSession(const SpokeConfig& spoke, Connector& connector, ConnectOptions options,
               kj::AsyncIoContext& io, const Limits& limits);
  // Over a connection that is there.
  AgentSession(const SpokeConfig& spoke, kj::Own<Connection> connection, kj::AsyncIoContext& io,
               const Limits& limits);

  // Does `work`, which calls the methods below. If that breaks the conversation, waits a moment for
  // the agent's last words, and throws Failure, which says what that meant. All else that `work`
  // throws passes.
  void converse(kj::FunctionParam<void()> work);

  // Asks what the spoke has that is not known. The first scan of a session brings the hello along,
  // in the same flight: `greeted` gets the answer to that, and may throw, before the listing is
  // read.
  Listing scan(const MirrorSummary& known, kj::FunctionParam<void(const AgentInfo&)> greeted);

  // Lets the agent walk its tree anew, and list what differs from what is known, even if nothing
  // does. scan() comes first.
  Listing scanAgain(const MirrorSummary& known);

  // Sends hello alone, before anything else.
  AgentInfo hello();

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

  // What the spoke's shell printed before the agent answered.
  std::string noise() const { return preamble_.noise(); }

  WireBytes wire() const { return connection_->wire(); }

  // What the key lets in besides the agent. It ends the agent, so nothing is to be asked of that
  // afterwards.
  Lockdown lockdown() { return examineLockdown(*connection_, io_); }

 private:
  using Ask = kj::Promise<capnp::Response<proto::Blocks::NextResults>>;

  capnp::RemotePromise<proto::Spoke::HelloResults> sendHello();
  capnp::Request<proto::Sessions::ScanParams, proto::Sessions::ScanResults> scanRequest(
      const MirrorSummary& known, bool everything);
  // Both read a stream of blocks whose first one has been asked for.
  Listing readListing(proto::Blocks::Client blocks, const MirrorSummary& known, Ask first);
  void readBlocks(proto::Blocks::Client blocks, Ask first,
                  kj::FunctionParam<bool(proto::Event::Reader)> event);
  void readAllBlocks(proto::Blocks::Client blocks, Ask first,
                     kj::FunctionParam<void(proto::Event::Reader)> event);
  template <typename T>
  T wait(kj::Promise<T> promise, const WatchPolicy& policy);
  // For what an agent answers at once, or reads files for.
  WatchPolicy forAnswer() const { return {limits_.idleSeconds}; }
  // For its first answer.
  WatchPolicy forStart() const;
  Failure explain(const kj::Exception& error);

  AgentInfo answered(proto::Peer::Reader peer);

  const SpokeConfig& spoke_;
  kj::Own<Connection> connection_;
  kj::AsyncIoContext& io_;
  const kj::Array<kj::byte> secret_;
  bool greeted_ = false;
  bool keyed_ = false;
  bool hashesBeginnings_ = false;
  const Limits limits_;
  uint32_t borneSeconds_ = limits_.idleSeconds;  // how long the latest wait bears silence
  PreambleFilter preamble_;
  Watchdog watchdog_;
  MessageGuard guard_;
  AnswersOnly answers_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  proto::Sessions::Client sessions_;
};

}  // namespace pibrain
