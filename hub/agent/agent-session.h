#pragma once
// A conversation with one spoke's agent. Only this class sends requests, and it explains why a
// conversation breaks; callers read the answers. Every method blocks and runs the event loop.

#include <capnp/rpc-twoparty.h>

#include <string>
#include <vector>

#include "common/wire/block-stream.h"
#include "common/wire/digest.h"
#include "common/wire/message-guard.h"
#include "common/wire/protocol.h"
#include "hub/agent/agent-info.h"
#include "hub/agent/answers-only.h"
#include "hub/agent/listing.h"
#include "hub/agent/lockdown.h"
#include "hub/agent/preamble.h"
#include "hub/agent/want.h"
#include "hub/agent/watch-asks.h"
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
    uint64_t listingBytes;  // the memory that the spoke's listing may take
  };
  // Returns the limits of a run.
  static Limits limitsOf(const SpokeConfig& spoke, const HubConfig& hub);

  // Connects. Throws Failure.
  AgentSession(const SpokeConfig& spoke, Connector& connector, ConnectOptions options,
               kj::AsyncIoContext& io, const Limits& limits);
  // Uses an existing connection.
  AgentSession(const SpokeConfig& spoke, kj::Own<Connection> connection, kj::AsyncIoContext& io,
               const Limits& limits);

  // Does `work`, which calls the methods below. If the conversation breaks, waits a moment for the
  // agent's last output and throws a Failure that explains it. Other exceptions of `work` pass.
  void converse(kj::FunctionParam<void()> work);

  // Requests what differs from `known`. The first scan of a session also sends hello, in the same
  // round trip; `greeted` receives its answer before the listing is read, and may throw.
  Listing scan(const MirrorSummary& known, kj::FunctionParam<void(const AgentInfo&)> greeted);

  // Lets the agent walk its tree again, and list what differs from `known`, even if nothing does.
  // Must be called after scan().
  Listing scanAgain(const MirrorSummary& known);

  // Sends hello alone. Must be called before anything else.
  AgentInfo hello();

  // Sends the wants and calls `event` for each event of the answer, until it returns false; the
  // rest is not requested.
  void pull(kj::ArrayPtr<const Want> wants, kj::FunctionParam<bool(proto::Event::Reader)> event);

  // Calls `event` for the answer about each of these files, in order: digest or refused. `lengths`:
  // how many of each file's first bytes to hash, if the agent hashesBeginnings(); empty: all.
  void digests(kj::ArrayPtr<const uint32_t> files,
               kj::FunctionParam<void(proto::Event::Reader)> event,
               kj::ArrayPtr<const uint64_t> lengths = nullptr);
  bool hashesBeginnings() const { return hashesBeginnings_; }

  // Returns librsync's signature of a file, with lengths that the agent chooses; empty if the agent
  // refused.
  kj::Vector<kj::byte> signature(uint32_t file);

  // Returns the secret for the hashes of this conversation; null, the public one, before hello is
  // answered and for agents that do not support secrets.
  FileHasher::Secret secret() const { return keyed_ ? secret_.asPtr() : nullptr; }

  // Returns what the spoke's shell printed before the agent answered.
  std::string noise() const { return preamble_.noise(); }

  WireBytes wire() const { return connection_->wire(); }

  // Returns whether the agent can watch.
  bool watches() const { return protocol_ >= WATCH_PROTOCOL; }
  // Begins to watch, from the latest scan on, which ends an earlier watch.
  void beginWatch();
  void endWatch() { watch_ = nullptr; }
  enum class Heard { EVENTS, SIGN_OF_LIFE, NOTHING, END };
  // Waits until the agent tells of something, and passes its events to `event`; or until `enough`
  // resolves. END: the watch has ended, so scan again.
  Heard awaitChanges(kj::Promise<void> enough, kj::FunctionParam<void(proto::Event::Reader)> event);
  // Throws, like everything that needs the agent, if it does not answer within so many seconds.
  void requireAnswer(uint32_t seconds);

  // Returns what the key allows besides the agent. It ends the agent, so nothing else can be
  // requested afterwards.
  Lockdown lockdown() { return examineLockdown(*connection_, io_); }

 private:
  using Ask = kj::Promise<capnp::Response<proto::Blocks::NextResults>>;

  capnp::RemotePromise<proto::Spoke::HelloResults> sendHello();
  capnp::Request<proto::Sessions::ScanParams, proto::Sessions::ScanResults> scanRequest(
      const MirrorSummary& known, bool everything);
  // Both read a stream of blocks whose first one was requested.
  Listing readListing(proto::Blocks::Client blocks, const MirrorSummary& known, Ask first);
  void readBlocks(proto::Blocks::Client blocks, Ask first,
                  kj::FunctionParam<bool(proto::Event::Reader)> event);
  void readAllBlocks(proto::Blocks::Client blocks, Ask first,
                     kj::FunctionParam<void(proto::Event::Reader)> event);
  template <typename T>
  T wait(kj::Promise<T> promise, const WatchPolicy& policy);
  // Returns the policy for answers that need no more than reading files.
  WatchPolicy forAnswer() const { return {limits_.idleSeconds}; }
  // Returns the policy for what the agent sends while nothing happens.
  WatchPolicy forSignOfLife() const;
  // Returns the policy for the agent's first answer.
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
  uint32_t protocol_ = 0;  // the agent's
  const Limits limits_;
  uint32_t borneSeconds_ = limits_.idleSeconds;  // for how long the latest wait allows silence
  PreambleFilter preamble_;
  Watchdog watchdog_;
  MessageGuard guard_;
  AnswersOnly answers_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  proto::Sessions::Client sessions_;
  kj::Own<WatchAsks> watch_;  // null: none
};

}  // namespace pibrain
