#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace pibrain {

// Threads that are waited for together.
class ThreadGroup {
 public:
  ThreadGroup() = default;
  ~ThreadGroup() { join(); }
  ThreadGroup(const ThreadGroup&) = delete;
  ThreadGroup& operator=(const ThreadGroup&) = delete;

  // Throws std::system_error if the system allows no more threads. `work` must not throw.
  void start(std::function<void()> work);
  size_t size() const { return threads_.size(); }

  // Waits for all. Meanwhile the main thread does the work of doInMainThread().
  void join();

 private:
  std::vector<std::thread> threads_;
  size_t running_ = 0;
};

// Lets the main thread do `work`, and waits until it is done. If the main thread is not in join(),
// or is the caller, the caller does it. `work` must not throw.
//
// This is for a read() that Ctrl-C must end: the kernel delivers a signal for the whole process to
// the main thread if it can (signal(7) says "an arbitrary thread"; Linux tries that one first), so
// a read in another thread would go on.
void doInMainThread(const std::function<void()>& work);

}  // namespace pibrain
