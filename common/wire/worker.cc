#include "common/wire/worker.h"

#include <system_error>
#include <utility>

namespace pibrain {

Worker::~Worker() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Worker::begin(std::function<void()> work) {
  work_ = std::move(work);
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this]() { loop(); });
    } catch (const std::system_error&) {
      doWork();
      return;
    }
  }
  {
    std::lock_guard lock(mutex_);
    busy_ = true;
  }
  changed_.notify_all();
}

void Worker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this]() { return !busy_; });
  KJ_IF_MAYBE(e, failure_) {
    auto failure = kj::mv(*e);
    failure_ = nullptr;
    kj::throwFatalException(kj::mv(failure));
  }
}

void Worker::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this]() { return busy_ || ending_; });
    if (!busy_) return;
    lock.unlock();
    doWork();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void Worker::doWork() {
  failure_ = kj::runCatchingExceptions([this]() { work_(); });
}

}  // namespace pibrain
