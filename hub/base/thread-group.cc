#include "hub/base/thread-group.h"

#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace pibrain {

namespace {

struct Errand {
  const std::function<void()>& work;
  bool done = false;
};

std::mutex mutex;  // guards all that follows, and running_ of each group
std::condition_variable changed;
bool serving = false;  // the main thread waits for threads
std::deque<Errand*> errands;

bool isMainThread() { return gettid() == getpid(); }

}  // namespace

void ThreadGroup::start(std::function<void()> work) {
  std::lock_guard lock(mutex);
  threads_.emplace_back([this, work = std::move(work)]() {
    work();
    std::lock_guard ending(mutex);
    --running_;
    changed.notify_all();
  });
  ++running_;
}

void ThreadGroup::join() {
  if (isMainThread()) {
    std::unique_lock lock(mutex);
    serving = true;
    for (;;) {
      changed.wait(lock, [&]() { return running_ == 0 || !errands.empty(); });
      if (errands.empty()) break;
      auto* errand = errands.front();
      errands.pop_front();
      lock.unlock();
      errand->work();
      lock.lock();
      errand->done = true;
      changed.notify_all();
    }
    serving = false;
  }
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void doInMainThread(const std::function<void()>& work) {
  std::unique_lock lock(mutex);
  if (!serving || isMainThread()) {
    lock.unlock();
    return work();
  }
  Errand errand{work};
  errands.push_back(&errand);
  changed.notify_all();
  changed.wait(lock, [&]() { return errand.done; });
}

}  // namespace pibrain
