#include "hub/agent/watch-asks.h"

#include <kj/debug.h>

namespace pibrain {

WatchAsks::WatchAsks(proto::Blocks::Client blocks) : blocks_(kj::mv(blocks)) { ask(); }

void WatchAsks::ask() {
  while (!ended_ && broke_ == nullptr && asked_ < AHEAD && waiting_.size() < MAX_WAITING) {
    ++asked_;
    tasks_.add(blocks_.nextRequest().send().then([this](auto response) {
      --asked_;
      ended_ |= response.getLast();
      waiting_.push_back({kj::heapArray<kj::byte>(response.getBlock()), response.getLast()});
      ask();
      wake();
    }));
  }
}

void WatchAsks::wake() {
  KJ_IF_MAYBE(waiter, waiter_) {
    (*waiter)->fulfill();
  }
  waiter_ = nullptr;
}

void WatchAsks::taskFailed(kj::Exception&& error) {
  if (broke_ == nullptr) broke_ = kj::mv(error);
  wake();
}

kj::Maybe<WatchAsks::Answer> WatchAsks::take() {
  if (waiting_.empty()) {
    KJ_IF_MAYBE(e, broke_) {
      kj::throwFatalException(kj::cp(*e));
    }
    return nullptr;
  }
  auto answer = kj::mv(waiting_.front());
  waiting_.pop_front();
  ask();
  return kj::mv(answer);
}

kj::Promise<void> WatchAsks::whenAnswered() {
  if (!waiting_.empty() || broke_ != nullptr) return kj::READY_NOW;
  auto paf = kj::newPromiseAndFulfiller<void>();
  waiter_ = kj::mv(paf.fulfiller);
  return kj::mv(paf.promise);
}

}  // namespace pibrain
