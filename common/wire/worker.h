#pragma once

#include <kj/exception.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace pibrain {

// A thread, begun when there is something to do, that does one thing at a time for its owner.
class Worker {
 public:
  Worker() = default;
  ~Worker();  // when the work under way is done
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Begins the work; none may be under way. If this user can have no more threads, does it.
  void begin(std::function<void()> work);

  // Returns when the work is done; throws what it threw.
  void wait();

 private:
  void loop();
  void doWork();

  std::thread thread_;
  std::function<void()> work_;
  // A value: KJ aborts if its exceptions end in another thread than the one that threw them.
  kj::Maybe<kj::Exception> failure_;

  std::mutex mutex_;  // for what follows
  std::condition_variable changed_;
  bool busy_ = false;
  bool ending_ = false;
};

}  // namespace pibrain
