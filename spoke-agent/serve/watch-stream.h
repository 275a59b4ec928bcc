#pragma once
// The answer to Sessions.watch.

#include <kj/async-unix.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "proto/agent.capnp.h"
#include "spoke-agent/answers/live-changes.h"
#include "spoke-agent/answers/sent-files.h"
#include "spoke-agent/serve/block-writer-pool.h"
#include "spoke-agent/tree/tree-source.h"
#include "spoke-agent/watch/change-collector.h"
#include "spoke-agent/watch/marks.h"

namespace pibrain {

class WatchStream;

// What the watches of an agent share. There is one stream at a time: a new one, or a scan, ends the
// last.
struct Watching : public kj::Refcounted {
  Watching(kj::UnixEventPort& thePort, kj::AutoCloseFd group)
      : port(thePort), marks(kj::mv(group)) {}

  void endStream();

  kj::UnixEventPort& port;
  Marks marks;
  WatchStream* stream = nullptr;  // the one that is open
  // Called when the hub has not been heard for UNHEARD_SECONDS while it watches.
  std::function<void()> unheard = []() {};
};

class WatchStream : public proto::Blocks::Server {
 public:
  // `tree`: that of the latest scan.
  WatchStream(kj::Own<TreeSource> root, std::shared_ptr<const Tree> tree, kj::Own<SentFiles> sent,
              kj::Own<BlockWriterPool> writers, kj::Own<Watching> watching);
  ~WatchStream() noexcept(false);

  kj::Promise<void> next(NextContext context) override;

  // Answers all that is asked, now and later, with the end.
  void end();

 private:
  struct Block {
    kj::Array<kj::byte> bytes;
    bool last;
  };
  using Time = kj::TimePoint;

  // Ends the stream from within its own promises, which must not destroy themselves.
  void fail();
  kj::Promise<void> readEvents();
  // Answers if there is something to tell and somebody to tell it to.
  void proceed();
  // Waits until time alone makes a difference, again and again.
  kj::Promise<void> waitForTime();
  Time dueTime() const;
  void onTime();
  bool hasNews() const;
  Block makeBlock();
  void addWatched(BlockWriter& writer);
  void answer(Block block);
  // Called when dueTime() may have changed, except by waitForTime().
  void setTimer();

  kj::Own<TreeSource> root_;
  kj::Own<BlockWriterPool> writers_;
  kj::Own<Watching> watching_;
  ChangeCollector changes_;
  LiveChanges live_;
  kj::Timer& timer_;
  kj::Own<kj::UnixEventPort::FdObserver> observer_;  // null: no events

  std::deque<kj::Own<kj::PromiseFulfiller<Block>>> asked_;
  bool ended_ = false;
  std::optional<ChangeCollector::Mode> told_;  // the mode that the hub knows
  bool needsScan_ = false;                     // told, or about to be
  // Files to look at again, by when: ns since the epoch.
  std::multimap<int64_t, uint32_t> again_;
  Time heard_ = kj::origin<Time>();     // the hub
  Time answered_ = kj::origin<Time>();  // a request was
  Time earliest_ = kj::origin<Time>();  // for the next block
  Time lookAll_ = kj::origin<Time>(), lookHot_ = kj::origin<Time>();
  kj::Promise<void> wake_ = nullptr, reading_ = nullptr;
};

}  // namespace pibrain
