#include "common/worker.h"

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
  failure_.rethrow();
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

void Worker::doWork() { failure_.guard(work_); }

}  // namespace pibrain
