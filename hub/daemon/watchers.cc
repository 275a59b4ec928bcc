#include "hub/daemon/watchers.h"

#include <kj/debug.h>

#include <algorithm>

namespace pibrain {

namespace {

// On their way to an observer that has not answered yet.
constexpr size_t MAX_ASKED = 64;
// Waiting, for an observer that hangs.
constexpr size_t MAX_WAITING = 10'000;

}  // namespace

class Watchers::Watcher : private kj::TaskSet::ErrorHandler {
 public:
  Watcher(Watchers& all, std::vector<std::string> spokes, control::Observer::Client observer,
          kj::Own<kj::PromiseFulfiller<void>> ended)
      : all_(all), spokes_(std::move(spokes)), observer_(kj::mv(observer)), ended_(kj::mv(ended)) {
    all_.watchers_.push_back(this);
    ++all_.count_;
  }
  ~Watcher() {
    all_.watchers_.remove(this);
    --all_.count_;
  }

  void tell(const LiveEvent& event) {
    bool wanted =
        spokes_.empty() || std::find(spokes_.begin(), spokes_.end(), event.spoke) != spokes_.end();
    if (!wanted) return;
    if (waiting_.size() >= MAX_WAITING) {
      return ended_->reject(KJ_EXCEPTION(FAILED, "the observer is too slow"));
    }
    waiting_.push_back(event);
    send();
  }

 private:
  void send() {
    while (asked_ < MAX_ASKED && !waiting_.empty()) {
      auto request = observer_.tellRequest();
      auto event = request.initEvent();
      event.setSpoke(waiting_.front().spoke);
      waiting_.front().fill(event);
      waiting_.pop_front();
      ++asked_;
      tasks_.add(request.send().then([this](auto&&) {
        --asked_;
        send();
      }));
    }
  }
  void taskFailed(kj::Exception&& error) override { ended_->reject(kj::mv(error)); }

  Watchers& all_;
  const std::vector<std::string> spokes_;
  control::Observer::Client observer_;
  kj::Own<kj::PromiseFulfiller<void>> ended_;
  std::deque<LiveEvent> waiting_;
  size_t asked_ = 0;
  kj::TaskSet tasks_{*this};  // last, so that it is destroyed first
};

kj::Promise<void> Watchers::add(std::vector<std::string> spokes,
                                control::Observer::Client observer) {
  auto paf = kj::newPromiseAndFulfiller<void>();
  auto watcher =
      kj::heap<Watcher>(*this, std::move(spokes), kj::mv(observer), kj::mv(paf.fulfiller));
  return paf.promise.attach(kj::mv(watcher));
}

void Watchers::tell(const LiveEvent& event) {
  for (auto* watcher : watchers_) watcher->tell(event);
}

}  // namespace pibrain
