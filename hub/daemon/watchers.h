#pragma once

#include <kj/async.h>
#include <kj/list.h>

#include <atomic>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "proto/control.capnp.h"

namespace pibrain {

// Something that happened to a spoke, to be told to who watches.
struct LiveEvent {
  std::string spoke;
  std::function<void(control::Event::Builder)> fill;  // all but the spoke
};

// The commands that watch a daemon. Used by the thread of its event loop, except any().
class Watchers {
 public:
  // Tells `observer` of the events of these spokes (none: all) until the returned promise is
  // destroyed. The promise is rejected when the observer is gone, or too slow.
  kj::Promise<void> add(std::vector<std::string> spokes, control::Observer::Client observer);
  void tell(const LiveEvent& event);

  // Returns whether anybody watches. Any thread may call.
  bool any() const { return count_ > 0; }

 private:
  class Watcher;

  std::list<Watcher*> watchers_;
  std::atomic<size_t> count_ = 0;
};

}  // namespace pibrain
