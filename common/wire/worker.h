#pragma once

#include <kj/exception.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace pibrain {

// A thread, started when first needed, that does one job at a time for its owner.
class Worker {
 public:
  Worker() = default;
  ~Worker();  // waits for the job under way
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Starts a job; none may be under way. Does it at once if this user can have no more threads.
  void begin(std::function<void()> work);

  // Waits until the job is done. Throws what the job threw.
  void wait();

 private:
  void loop();
  void doWork();

  std::thread thread_;
  std::function<void()> work_;
  // A value: KJ aborts if an exception of its own ends in a thread that did not throw it.
  kj::Maybe<kj::Exception> failure_;

  std::mutex mutex_;  // guards the members below
  std::condition_variable changed_;
  bool busy_ = false;
  bool ending_ = false;
};

}  // namespace pibrain
