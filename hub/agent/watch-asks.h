#pragma once

#include <kj/async.h>

#include <deque>

#include "proto/agent.capnp.h"

namespace pibrain {

// The requests of a watch. Several are always on their way, so that a change takes only half a
// round trip: the request is at the spoke before the change is.
class WatchAsks : private kj::TaskSet::ErrorHandler {
 public:
  explicit WatchAsks(proto::Blocks::Client blocks);
  KJ_DISALLOW_COPY(WatchAsks);

  struct Answer {
    kj::Array<kj::byte> block;  // empty: a sign of life
    bool last;                  // the agent watches no longer
  };
  // Returns the next answer that has arrived; null: none has. Throws what broke the conversation.
  kj::Maybe<Answer> take();
  // Resolves when take() would return an answer or throw. One call at a time.
  kj::Promise<void> whenAnswered();

 private:
  static constexpr size_t AHEAD = 4;
  // Answers that wait for take(). While there are so many, nothing is requested: the spoke waits
  // for a slow hub.
  static constexpr size_t MAX_WAITING = 4;

  void ask();
  void wake();
  void taskFailed(kj::Exception&& error) override;

  proto::Blocks::Client blocks_;
  std::deque<Answer> waiting_;
  size_t asked_ = 0;  // and not answered
  bool ended_ = false;
  kj::Maybe<kj::Exception> broke_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiter_;
  kj::TaskSet tasks_{*this};  // last, so that it is destroyed first
};

}  // namespace pibrain
