#include "spoke-agent/serve/watch-stream.h"

#include <kj/debug.h>

#include <algorithm>

#include "common/fs/file-times.h"
#include "common/wire/protocol.h"

namespace pibrain {

namespace {

constexpr int COMPRESSION = 1;
// A file that is written to without pause makes a block so often at most.
constexpr kj::Duration MIN_PAUSE = 20 * kj::MILLISECONDS;
// How often directories without marks are looked at: those that changed lately, and all. A look at
// all takes at most 1% of the time.
constexpr kj::Duration HOT_PAUSE = 2 * kj::SECONDS, ALL_PAUSE = 30 * kj::SECONDS;
constexpr int64_t LOOK_SHARE = 100;

}  // namespace

void Watching::endStream() {
  if (stream != nullptr) stream->end();
}

WatchStream::WatchStream(kj::Own<TreeSource> root, std::shared_ptr<const Tree> tree,
                         kj::Own<SentFiles> sent, kj::Own<BlockWriterPool> writers,
                         kj::Own<Watching> watching)
    : root_(kj::mv(root)),
      writers_(kj::mv(writers)),
      watching_(kj::mv(watching)),
      changes_(*root_, watching_->marks),
      live_(*root_, tree, kj::mv(sent)),
      timer_(watching_->port.getTimer()) {
  watching_->endStream();
  watching_->stream = this;
  heard_ = answered_ = earliest_ = timer_.now();
  auto& clock = kj::systemPreciseMonotonicClock();
  auto began = clock.now();
  changes_.begin(std::move(tree));
  auto took = clock.now() - began;
  lookHot_ = timer_.now() + HOT_PAUSE;
  lookAll_ = timer_.now() + kj::max(ALL_PAUSE, LOOK_SHARE * took);
  if (watching_->marks.fd() >= 0) {
    observer_ = kj::heap<kj::UnixEventPort::FdObserver>(
        watching_->port, watching_->marks.fd(), kj::UnixEventPort::FdObserver::OBSERVE_READ);
    reading_ = readEvents().eagerlyEvaluate([this](kj::Exception&&) { fail(); });
  }
  setTimer();
}

WatchStream::~WatchStream() noexcept(false) {
  if (watching_->stream == this) watching_->stream = nullptr;
}

kj::Promise<void> WatchStream::next(NextContext context) {
  heard_ = timer_.now();
  auto paf = kj::newPromiseAndFulfiller<Block>();
  asked_.push_back(kj::mv(paf.fulfiller));
  proceed();
  setTimer();
  return paf.promise.then([context](Block block) mutable {
    auto results = context.getResults(capnp::MessageSize{block.bytes.size() / 8 + 16, 0});
    if (block.bytes.size() > 0) results.setBlock(block.bytes);
    results.setLast(block.last);
  });
}

void WatchStream::end() {
  if (ended_) return;
  ended_ = true;
  reading_ = nullptr;
  wake_ = nullptr;
  observer_ = nullptr;
  if (watching_->stream == this) watching_->stream = nullptr;
  proceed();
}

void WatchStream::fail() {
  ended_ = true;
  proceed();
}

kj::Promise<void> WatchStream::readEvents() {
  auto ready = observer_->whenBecomesReadable();
  changes_.drain();
  proceed();
  setTimer();
  return ready.then([this]() { return readEvents(); });
}

bool WatchStream::hasNews() const {
  return changes_.hasFiles() || (changes_.needsScan() && !needsScan_) || changes_.mode() != told_;
}

void WatchStream::proceed() {
  if (ended_) {
    while (!asked_.empty()) answer({nullptr, true});
    return;
  }
  // An ask may have been cancelled.
  while (!asked_.empty() && !asked_.front()->isWaiting()) asked_.pop_front();
  if (!asked_.empty() && hasNews() && timer_.now() >= earliest_) {
    auto block = makeBlock();
    if (block.bytes.size() > 0) answer(kj::mv(block));
    earliest_ = timer_.now() + MIN_PAUSE;
  }
}

WatchStream::Block WatchStream::makeBlock() {
  auto writer = writers_->take(COMPRESSION);
  KJ_ON_SCOPE_FAILURE(writers_->drop());
  if (changes_.mode() != told_) addWatched(*writer);
  if (changes_.needsScan()) {
    writer->add([](proto::Event::Builder event) { event.setScanNeeded(); });
    needsScan_ = true;
  }
  auto files = changes_.takeFiles();
  for (auto file : files) {
    if (writer->full()) {
      changes_.note(file);
    } else if (auto again = live_.add(*writer, file)) {
      again_.emplace(*again, file);
    }
  }
  Block block{nullptr, false};
  if (!writer->empty()) block.bytes = kj::heapArray(writer->finish(true));
  writers_->giveBack(kj::mv(writer));
  return block;
}

void WatchStream::addWatched(BlockWriter& writer) {
  told_ = changes_.mode();
  writer.add([&](proto::Event::Builder event) {
    auto watched = event.initWatched();
    watched.setDirectories(told_->watched);
    watched.setPolled(told_->polled);
    watched.setWhy(proto::Watched::Why(told_->why));
  });
}

void WatchStream::answer(Block block) {
  auto ask = kj::mv(asked_.front());
  asked_.pop_front();
  answered_ = timer_.now();
  ask->fulfill(kj::mv(block));
}

void WatchStream::onTime() {
  auto now = timer_.now();
  if (now - heard_ >= UNHEARD_SECONDS * kj::SECONDS) {
    heard_ = now;
    watching_->unheard();
  }
  int64_t wall = wallClockNanos();
  while (!again_.empty() && again_.begin()->first <= wall) {
    changes_.note(again_.begin()->second);
    again_.erase(again_.begin());
  }
  if (changes_.mode().polled > 0 && now >= lookHot_) {
    changes_.lookAtHot();
    lookHot_ = now + HOT_PAUSE;
  }
  if (changes_.mode().polled > 0 && now >= lookAll_) {
    auto& clock = kj::systemPreciseMonotonicClock();
    auto began = clock.now();
    changes_.lookAtAll();
    lookAll_ = now + kj::max(ALL_PAUSE, LOOK_SHARE * (clock.now() - began));
  }
  if (!asked_.empty() && now - answered_ >= TICK_SECONDS * kj::SECONDS) answer({nullptr, false});
  proceed();
}

WatchStream::Time WatchStream::dueTime() const {
  auto due = heard_ + UNHEARD_SECONDS * kj::SECONDS;
  if (!asked_.empty()) due = kj::min(due, answered_ + TICK_SECONDS * kj::SECONDS);
  if (!asked_.empty() && hasNews()) due = kj::min(due, earliest_);
  if (changes_.mode().polled > 0) due = kj::min(due, kj::min(lookHot_, lookAll_));
  if (!again_.empty()) {
    auto left = kj::max(int64_t(0), again_.begin()->first - wallClockNanos());
    due = kj::min(due, timer_.now() + left * kj::NANOSECONDS);
  }
  return due;
}

kj::Promise<void> WatchStream::waitForTime() {
  if (ended_) return kj::READY_NOW;
  return timer_.atTime(dueTime()).then([this]() {
    onTime();
    return waitForTime();
  });
}

void WatchStream::setTimer() {
  if (ended_) return;
  wake_ = waitForTime().eagerlyEvaluate([this](kj::Exception&&) { fail(); });
}

}  // namespace pibrain
