#include "spoke-agent/serve/agent-server.h"

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <kj/time.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "common/fs/file-times.h"
#include "common/text/environment.h"
#include "common/wire/message-guard.h"
#include "common/wire/protocol.h"
#include "spoke-agent/answers/inspect.h"
#include "spoke-agent/answers/listing.h"
#include "spoke-agent/answers/pull.h"
#include "spoke-agent/answers/sent-files.h"
#include "spoke-agent/serve/block-writer-pool.h"
#include "spoke-agent/serve/watch-stream.h"

namespace pibrain {

namespace {

constexpr uint64_t MAX_REQUEST_WORDS = MAX_REQUEST / sizeof(capnp::word);
constexpr size_t FLOW_LIMIT_WORDS = (4 << 20) / sizeof(capnp::word);

constexpr int LISTING_COMPRESSION = 1;
constexpr kj::Duration MAX_SILENCE = 1 * kj::SECONDS;
class BlocksImpl : public proto::Blocks::Server {
 public:
  BlocksImpl(kj::Own<EventSource> source, kj::Own<BlockWriterPool> writers, int compressionLevel)
      : source_(kj::mv(source)),
        writers_(kj::mv(writers)),
        writer_(writers_->take(compressionLevel)) {}
  ~BlocksImpl() noexcept(false) {
    if (writer_.get() != nullptr) writers_->drop();
  }

  kj::Promise<void> next(NextContext context) override {
    if (writer_.get() == nullptr) {
      context.getResults().setLast(true);
      return kj::READY_NOW;
    }
    if (!begun_) fill();
    if (source_.get() == nullptr && !begun_) {
      answer(context, writer_->finish(true), true);
      return kj::READY_NOW;
    }
    if (!begun_) writer_->begin(false);
    // While this block is compressed, the next one is filled.
    begun_ = source_.get() != nullptr;
    if (begun_) fill();
    answer(context, writer_->take(), !begun_);
    if (begun_) writer_->begin(source_.get() == nullptr);
    return kj::READY_NOW;
  }

 private:
  void fill() {
    // A block of deltas may take long to fill, and the hub gives up on a silent agent.
    auto& clock = kj::systemPreciseMonotonicClock();
    auto late = clock.now() + MAX_SILENCE;
    while (source_.get() != nullptr && !writer_->full()) {
      if (!source_->produce(*writer_)) source_ = nullptr;
      if (!writer_->empty() && clock.now() > late) return;
    }
  }

  void answer(NextContext& context, kj::ArrayPtr<const kj::byte> block, bool last) {
    auto results = context.getResults(capnp::MessageSize{block.size() / 8 + 16, 0});
    results.setBlock(block);
    results.setLast(last);
    if (last) writers_->giveBack(kj::mv(writer_));
  }

  kj::Own<EventSource> source_;  // null after its end
  kj::Own<BlockWriterPool> writers_;
  kj::Own<BlockWriter> writer_;  // null after the last block
  bool begun_ = false;           // a block is being compressed
};

class SessionsImpl : public proto::Sessions::Server {
 public:
  // `watching`: null if the agent cannot watch.
  SessionsImpl(kj::Own<TreeSource> root, kj::Own<BlockWriterPool> writers,
               kj::Maybe<kj::Own<Watching>> watching)
      : root_(kj::mv(root)), writers_(kj::mv(writers)), watching_(kj::mv(watching)) {}

  kj::Promise<void> scan(ScanContext context) override {
    // Its ids are those of an older tree.
    KJ_IF_MAYBE(watching, watching_) {
      (*watching)->endStream();
    }
    auto params = context.getParams();
    bool atRest = false;
    auto tree = params.getUntilAtRest()                         ? root_->scanUntilAtRest(atRest)
                : params.getReuse() && root_->tree() != nullptr ? root_->tree()
                                                                : root_->scan();
    auto times = params.getTimes();
    ListingSource::Known known{
        Digest::from(params.getTree()),
        params.getKnown(),
        params.getKnownComplete(),
        params.getNewest(),
        params.getMaxSkipped(),
        {{times.getGrain(), times.getOldest(), times.getNewest()}, params.getModes()},
        !params.getUntilAtRest() ? proto::Summary::Rest::UNSAID
        : atRest                 ? proto::Summary::Rest::AT_REST
                                 : proto::Summary::Rest::CHANGING};
    auto listing = kj::heap<ListingSource>(kj::mv(tree), known);
    context.getResults().setListing(stream(kj::mv(listing)));
    return kj::READY_NOW;
  }

  kj::Promise<void> describe(DescribeContext context) override {
    auto entries = kj::heap<EntrySource>(tree(), context.getParams().getFiles());
    context.getResults().setListing(stream(kj::mv(entries)));
    return kj::READY_NOW;
  }

  kj::Promise<void> pull(PullContext context) override {
    auto params = context.getParams();
    int level = std::clamp(int(params.getOptions().getCompressionLevel()), 1, 9);
    auto secret = sent_->share(params.getOptions().getSecret());
    auto pull =
        kj::heap<Pull>(kj::addRef(*root_), tree(), params.getWants(), secret, kj::addRef(*sent_));
    context.getResults().setBlocks(stream(kj::mv(pull), level));
    return kj::READY_NOW;
  }

  kj::Promise<void> signature(SignatureContext context) override {
    auto params = context.getParams();
    auto source = kj::heap<SignatureSource>(kj::addRef(*root_), tree(), params.getFile(),
                                            params.getBlockLength(), params.getStrongLength());
    context.getResults().setBlocks(stream(kj::mv(source)));
    return kj::READY_NOW;
  }

  kj::Promise<void> digest(DigestContext context) override {
    std::deque<DigestSource::Ask> files;
    auto params = context.getParams();
    auto lengths = params.getLengths();
    for (uint32_t file : params.getFiles()) {
      files.push_back(
          {file, files.size() < lengths.size() ? lengths[uint32_t(files.size())] : UINT64_MAX});
    }
    auto source = kj::heap<DigestSource>(kj::addRef(*root_), tree(), kj::mv(files),
                                         kj::heapArray<kj::byte>(params.getSecret()));
    context.getResults().setBlocks(stream(kj::mv(source)));
    return kj::READY_NOW;
  }

  kj::Promise<void> watch(WatchContext context) override {
    KJ_IF_MAYBE(watching, watching_) {
      sent_->share(context.getParams().getSecret());
      context.getResults().setChanges(
          kj::heap<WatchStream>(kj::addRef(*root_), tree(), kj::addRef(*sent_),
                                kj::addRef(*writers_), kj::addRef(**watching)));
      return kj::READY_NOW;
    }
    KJ_UNIMPLEMENTED("this agent cannot watch");
  }

 private:
  proto::Blocks::Client stream(kj::Own<EventSource> source, int level = LISTING_COMPRESSION) {
    return kj::heap<BlocksImpl>(kj::mv(source), kj::addRef(*writers_), level);
  }

  // Before the first scan, no id names a file.
  std::shared_ptr<const Tree> tree() const {
    return root_->tree() != nullptr ? root_->tree() : std::make_shared<const Tree>();
  }

  kj::Own<TreeSource> root_;
  kj::Own<BlockWriterPool> writers_;
  kj::Own<SentFiles> sent_ = kj::refcounted<SentFiles>();
  kj::Maybe<kj::Own<Watching>> watching_;
};

class SpokeImpl : public proto::Spoke::Server {
 public:
  SpokeImpl(kj::Own<TreeSource> root, std::string sandbox, bool partlyConfined,
            kj::Maybe<kj::Own<Watching>> watching)
      : root_(kj::mv(root)),
        watching_(kj::mv(watching)),
        sandbox_(std::move(sandbox)),
        partlyConfined_(partlyConfined) {}

  kj::Promise<void> hello(HelloContext context) override {
    auto results = context.getResults();
    auto peer = results.initSpoke();
    peer.setVersion(PIBRAIN_VERSION);
    peer.setProtocol(PROTOCOL);
    peer.setOldestProtocol(OLDEST_PROTOCOL);
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    peer.setHost(host);
    peer.setClock(wallClockNanos());
    peer.setRoot(root_->path().c_str());
    peer.setHome(environment("HOME").c_str());
    peer.setRootState(root_->state());
    peer.setSandbox(sandbox_.c_str());
    peer.setPartlyConfined(partlyConfined_);
    // When a forced command replaces the command of the client, sshd(8) puts the latter here.
    peer.setKeyed(true);
    peer.setHashesBeginnings(true);
    peer.setForced(getenv("SSH_ORIGINAL_COMMAND") != nullptr);
    kj::Maybe<kj::Own<Watching>> watching;
    KJ_IF_MAYBE(shared, watching_) {
      watching = kj::addRef(**shared);
    }
    results.setSessions(
        kj::heap<SessionsImpl>(kj::addRef(*root_), kj::addRef(*writers_), kj::mv(watching)));
    return kj::READY_NOW;
  }

 private:
  kj::Own<TreeSource> root_;
  kj::Maybe<kj::Own<Watching>> watching_;
  kj::Own<BlockWriterPool> writers_ = kj::refcounted<BlockWriterPool>();  // shared by all Sessions
  const std::string sandbox_;
  const bool partlyConfined_;
};

}  // namespace

proto::Spoke::Client makeSpoke(kj::Own<TreeSource> root, std::string sandbox, bool partlyConfined,
                               kj::Maybe<kj::Own<Watching>> watching) {
  return kj::heap<SpokeImpl>(kj::mv(root), std::move(sandbox), partlyConfined, kj::mv(watching));
}

void serve(kj::AsyncIoStream& stream, proto::Spoke::Client spoke, kj::WaitScope& waitScope) {
  stream.write(PREAMBLE.data(), PREAMBLE.size()).wait(waitScope);
  MessageGuard guard(stream, MAX_REQUEST_WORDS, MessageGuard::AHEAD);
  capnp::ReaderOptions options;
  options.traversalLimitInWords = MAX_REQUEST_WORDS;
  options.nestingLimit = 16;
  capnp::TwoPartyVatNetwork network(guard, capnp::rpc::twoparty::Side::SERVER, options);
  auto rpc = capnp::makeRpcServer(network, kj::mv(spoke));
  rpc.setFlowLimit(FLOW_LIMIT_WORDS);
  network.onDisconnect().wait(waitScope);
}

}  // namespace pibrain
