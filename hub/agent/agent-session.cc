#include "hub/agent/agent-session.h"

#include <kj/debug.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "common/wire/protocol.h"
#include "hub/agent/explain.h"
#include "hub/base/failure.h"

namespace pibrain {

namespace {

// With more directories than this, the tree's digest is sent first, alone.
constexpr size_t MAX_KNOWN_AT_ONCE = 256;
// Blocks to request ahead: enough to fill a long, fast link, but not many more, since the agent may
// must hold them.
constexpr size_t MAX_ASKS = 16;
constexpr size_t MAX_AHEAD = 2 * 1024 * 1024;

// librsync's choice of block lengths keeps the signature of a 1 TB file below this.
constexpr size_t MAX_SIGNATURE = 40 * 1024 * 1024;

// The longest text in a hello is a path.
constexpr size_t MAX_HELLO_TEXT = 4096;

constexpr uint64_t MAX_ANSWER_WORDS = MAX_ANSWER / sizeof(capnp::word);

// The limit of the RPC network applies to sending too. MessageGuard limits what is received.
capnp::ReaderOptions readerOptions() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = MAX_REQUEST / sizeof(capnp::word);
  options.nestingLimit = 16;
  return options;
}

proto::Spoke::Client bootstrap(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& rpc) {
  capnp::MallocMessageBuilder message;
  auto id = message.initRoot<capnp::rpc::twoparty::VatId>();
  id.setSide(capnp::rpc::twoparty::Side::SERVER);
  return rpc.bootstrap(id).castAs<proto::Spoke>();
}

std::string textFrom(capnp::Text::Reader text) {
  KJ_REQUIRE(text.size() <= MAX_HELLO_TEXT, "the agent's hello has a text that is too long");
  return text.cStr();
}

AgentInfo infoFrom(proto::Peer::Reader peer) {
  return {textFrom(peer.getVersion()), peer.getProtocol(),  peer.getOldestProtocol(),
          textFrom(peer.getHost()),    peer.getClock(),     textFrom(peer.getRoot()),
          textFrom(peer.getHome()),    peer.getRootState(), textFrom(peer.getSandbox()),
          peer.getPartlyConfined(),    peer.getForced(),    peer.getKeyed(),
          peer.getHashesBeginnings()};
}

kj::Array<kj::byte> drawSecret() {
  auto secret = kj::heapArray<kj::byte>(FileHasher::SECRET_SIZE);
  // getrandom() never returns fewer than 256 bytes.
  KJ_REQUIRE(getrandom(secret.begin(), secret.size(), 0) == ssize_t(secret.size()),
             "no random numbers are available");
  return secret;
}

void fill(proto::Want::Builder out, const Want& want) {
  out.setFile(want.file);
  switch (want.kind) {
    case Want::Kind::WHOLE:
      out.setWhole();
      break;
    case Want::Kind::NEW:
      out.setNew();
      break;
    case Want::Kind::PREFIX: {
      auto basis = out.initPrefix();
      basis.setSize(want.prefixSize);
      want.prefixHash.to(basis.initHash());
      basis.setAsSent(want.asSent);
      break;
    }
    case Want::Kind::SIGNATURE:
      out.setSignature(want.signature);
      break;
  }
}

}  // namespace

AgentSession::Limits AgentSession::limitsOf(const SpokeConfig& spoke, const HubConfig& hub) {
  return {spoke.timeoutSeconds, uint64_t(hub.listingMiB) << 20};
}

AgentSession::AgentSession(const SpokeConfig& spoke, Connector& connector, ConnectOptions options,
                           kj::AsyncIoContext& io, const Limits& limits)
    : AgentSession(spoke, connector.connect(std::move(options), io), io, limits) {}

AgentSession::AgentSession(const SpokeConfig& spoke, kj::Own<Connection> connection,
                           kj::AsyncIoContext& io, const Limits& limits)
    : spoke_(spoke),
      connection_(kj::mv(connection)),
      io_(io),
      secret_(drawSecret()),
      limits_(limits),
      preamble_(connection_->stream()),
      watchdog_(io.provider->getTimer(), preamble_),
      guard_(preamble_, MAX_ANSWER_WORDS),
      answers_(guard_),
      network_(answers_, capnp::rpc::twoparty::Side::CLIENT, readerOptions()),
      rpc_(capnp::makeRpcClient(network_)),
      sessions_(nullptr) {}

capnp::RemotePromise<proto::Spoke::HelloResults> AgentSession::sendHello() {
  auto hello = bootstrap(rpc_).helloRequest();
  auto hub = hello.initHub();
  // Nothing that differs from time to time, such as the clock: if a start-up file on the spoke runs
  // a shell instead of the agent, these bytes are its input, and a '>' among them makes a file.
  hub.setVersion(PIBRAIN_VERSION);
  hub.setProtocol(PROTOCOL);
  hub.setOldestProtocol(OLDEST_PROTOCOL);
  return hello.send();
}

AgentInfo AgentSession::answered(proto::Peer::Reader peer) {
  auto info = infoFrom(peer);
  keyed_ = info.keyed;
  hashesBeginnings_ = info.hashesBeginnings;
  protocol_ = info.protocol;
  return info;
}

AgentInfo AgentSession::hello() {
  using Answer = capnp::Response<proto::Spoke::HelloResults>;
  auto answer = sendHello();
  auto sessions = answer.getSessions();
  kj::Promise<Answer> sent = kj::mv(answer);
  auto info = answered(wait(kj::mv(sent), forStart()).getSpoke());
  sessions_ = kj::mv(sessions);
  greeted_ = true;
  return info;
}

Listing AgentSession::scan(const MirrorSummary& known,
                           kj::FunctionParam<void(const AgentInfo&)> greeted) {
  using Answer = capnp::Response<proto::Spoke::HelloResults>;
  kj::Promise<Answer> hello = nullptr;
  if (!greeted_) {
    auto sent = sendHello();
    sessions_ = sent.getSessions();
    hello = kj::mv(sent);
  }
  auto blocks = scanRequest(known, false).send().getListing();
  auto firstBlock = blocks.nextRequest().send();
  if (!greeted_) {
    auto response = wait(kj::mv(hello), forStart());
    greeted(answered(response.getSpoke()));
    greeted_ = true;
  }

  auto listing = readListing(kj::mv(blocks), known, kj::mv(firstBlock));
  if (listing.state != proto::Summary::State::DIFFERS) return listing;
  auto all = scanRequest(known, true).send().getListing();
  auto ask = all.nextRequest().send();
  listing = readListing(kj::mv(all), known, kj::mv(ask));
  KJ_REQUIRE(listing.state != proto::Summary::State::DIFFERS, "the agent did not list");
  return listing;
}

Listing AgentSession::scanAgain(const MirrorSummary& known) {
  auto request = scanRequest(known, true);
  request.setReuse(false);
  Digest().to(request.getTree());  // a digest that no tree has
  auto blocks = request.send().getListing();
  auto ask = blocks.nextRequest().send();
  auto listing = readListing(kj::mv(blocks), known, kj::mv(ask));
  KJ_REQUIRE(listing.state == proto::Summary::State::LISTED, "the agent did not list");
  return listing;
}

capnp::Request<proto::Sessions::ScanParams, proto::Sessions::ScanResults> AgentSession::scanRequest(
    const MirrorSummary& known, bool everything) {
  auto request = sessions_.scanRequest();
  known.tree.to(request.initTree());
  bool complete = everything || known.digests.size() <= MAX_KNOWN_AT_ONCE;
  // Directories beyond this number are listed even if they did not change.
  auto digests = kj::arrayPtr(known.digests.data(), std::min(known.digests.size(), MAX_KNOWN));
  request.setKnownComplete(complete);
  request.setReuse(everything);
  request.setNewest(known.newest);
  request.setMaxSkipped(known.maxSkipped);
  request.setUntilAtRest(known.untilAtRest);
  auto times = request.initTimes();
  times.setGrain(known.options.times.grain);
  times.setOldest(known.options.times.oldest);
  times.setNewest(known.options.times.newest);
  request.setModes(known.options.modes);
  if (complete) {
    auto list = request.initKnown(uint32_t(digests.size()));
    for (uint32_t i = 0; i < list.size(); ++i) list.set(i, digests[i]);
  }
  return request;
}

Listing AgentSession::readListing(proto::Blocks::Client blocks, const MirrorSummary& known,
                                  Ask first) {
  ListingReader reader(known, limits_.listingBytes);
  auto take = [&](proto::Event::Reader event) { reader.event(event); };
  readAllBlocks(kj::mv(blocks), kj::mv(first), take);
  auto unknown = reader.unresolved();
  for (size_t done = 0; done < unknown.size(); done += MAX_IDS) {
    size_t count = std::min(unknown.size() - done, MAX_IDS);
    auto request = sessions_.describeRequest();
    request.setFiles(kj::arrayPtr(unknown.data() + done, count));
    auto entries = request.send().getListing();
    auto ask = entries.nextRequest().send();
    readAllBlocks(kj::mv(entries), kj::mv(ask), take);
  }
  return reader.finish();
}

void AgentSession::pull(kj::ArrayPtr<const Want> wants,
                        kj::FunctionParam<bool(proto::Event::Reader)> event) {
  auto request = sessions_.pullRequest();
  auto list = request.initWants(uint32_t(wants.size()));
  for (uint32_t i = 0; i < list.size(); ++i) fill(list[i], wants[i]);
  request.initOptions().setSecret(secret());
  auto blocks = request.send().getBlocks();
  auto first = blocks.nextRequest().send();
  readBlocks(kj::mv(blocks), kj::mv(first), kj::mv(event));
}

void AgentSession::digests(kj::ArrayPtr<const uint32_t> files,
                           kj::FunctionParam<void(proto::Event::Reader)> event,
                           kj::ArrayPtr<const uint64_t> lengths) {
  for (size_t done = 0; done < files.size(); done += MAX_IDS) {
    auto request = sessions_.digestRequest();
    request.setSecret(secret());
    size_t end = std::min(files.size(), done + MAX_IDS);
    request.setFiles(files.slice(done, end));
    if (lengths.size() > 0) request.setLengths(lengths.slice(done, end));
    auto blocks = request.send().getBlocks();
    auto first = blocks.nextRequest().send();
    readAllBlocks(kj::mv(blocks), kj::mv(first), event);
  }
}

kj::Vector<kj::byte> AgentSession::signature(uint32_t file) {
  auto request = sessions_.signatureRequest();
  request.setFile(file);
  auto blocks = request.send().getBlocks();
  auto first = blocks.nextRequest().send();
  kj::Vector<kj::byte> signature;
  bool refused = false;
  readAllBlocks(kj::mv(blocks), kj::mv(first), [&](proto::Event::Reader event) {
    KJ_REQUIRE(!refused && (event.isSignature() || (event.isRefused() && signature.empty())),
               "an event that does not belong in a signature");
    refused = event.isRefused();
    if (refused) return;
    KJ_REQUIRE(event.getSignature().size() > 0, "an empty piece of a signature");
    signature.addAll(event.getSignature());
    KJ_REQUIRE(signature.size() <= MAX_SIGNATURE, "a signature that is too long");
  });
  return signature;
}

void AgentSession::readAllBlocks(proto::Blocks::Client blocks, Ask first,
                                 kj::FunctionParam<void(proto::Event::Reader)> event) {
  readBlocks(kj::mv(blocks), kj::mv(first), [&](proto::Event::Reader e) {
    event(e);
    return true;
  });
}

void AgentSession::readBlocks(proto::Blocks::Client blocks, Ask first,
                              kj::FunctionParam<bool(proto::Event::Reader)> event) {
  BlockReader decoder;
  std::deque<Ask> asked;
  asked.push_back(kj::mv(first));
  // Each block that is not the last raises the number of requests ahead, so that a short answer is
  // not followed by a dozen empty blocks.
  for (size_t ahead = 1;; ahead = std::min(ahead + 2, MAX_ASKS)) {
    while (asked.size() < ahead) asked.push_back(blocks.nextRequest().send());
    auto response = wait(kj::mv(asked.front()), forAnswer());
    asked.pop_front();
    ahead = std::min(ahead, MAX_AHEAD / std::max<size_t>(response.getBlock().size(), 1));
    bool empty = true, goesOn = true;
    decoder.read(response.getBlock(), [&](proto::Event::Reader e) {
      empty = false;
      goesOn = goesOn && event(e);
    });
    if (response.getLast() || !goesOn) return;
    KJ_REQUIRE(!empty, "an empty block that is not the last");
  }
}

void AgentSession::beginWatch() {
  auto request = sessions_.watchRequest();
  request.setSecret(secret());
  watch_ = kj::heap<WatchAsks>(request.send().getChanges());
}

AgentSession::Heard AgentSession::awaitChanges(
    kj::Promise<void> enough, kj::FunctionParam<void(proto::Event::Reader)> event) {
  // What has arrived counts as heard, however long this program did something else.
  io_.waitScope.poll();
  wait(watch_->whenAnswered().exclusiveJoin(kj::mv(enough)), forSignOfLife());
  KJ_IF_MAYBE(answer, watch_->take()) {
    // Each block is a stream of its own, so that an idle session keeps no decoder.
    if (answer->block.size() > 0) BlockReader().read(answer->block, kj::mv(event));
    return answer->last                ? Heard::END
           : answer->block.size() == 0 ? Heard::SIGN_OF_LIFE
                                       : Heard::EVENTS;
  }
  return Heard::NOTHING;
}

void AgentSession::requireAnswer(uint32_t seconds) {
  auto request = sessions_.describeRequest();
  request.initFiles(0);
  auto sent = request.send().ignoreResult();
  wait(kj::mv(sent), {.idleSeconds = seconds, .minBytesPerSecond = 0});
}

template <typename T>
T AgentSession::wait(kj::Promise<T> promise, const WatchPolicy& policy) {
  borneSeconds_ = policy.idleSeconds;
  return watchdog_.watch(kj::mv(promise), policy).wait(io_.waitScope);
}

WatchPolicy AgentSession::forStart() const {
  auto start = connection_->startSeconds();
  return {start == 0 ? limits_.idleSeconds : std::min(start, limits_.idleSeconds)};
}

WatchPolicy AgentSession::forSignOfLife() const {
  return {.idleSeconds = MISSED_TICK_SECONDS, .minBytesPerSecond = 0, .sinceLastByte = true};
}

void AgentSession::converse(kj::FunctionParam<void()> work) {
  kj::Maybe<kj::Exception> broke;
  try {
    work();
  } catch (kj::Exception& e) {
    broke = kj::mv(e);
  }
  // Not in the catch block, where running the event loop would abort a program that has two
  // conversations.
  KJ_IF_MAYBE(e, broke) throw explain(*e);
}

Failure AgentSession::explain(const kj::Exception& error) {
  auto last = isLocalExhaustion(error) ? ExitInfo() : connection_->exitInfo(io_.waitScope);
  return explainConversation(spoke_, error, {preamble_.found(), preamble_.noise(), last},
                             borneSeconds_);
}

}  // namespace pibrain
