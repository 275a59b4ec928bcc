#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace pibrain {

// Threads that one waits for.
class ThreadGroup {
 public:
  ThreadGroup() = default;
  ~ThreadGroup() { join(); }
  ThreadGroup(const ThreadGroup&) = delete;
  ThreadGroup& operator=(const ThreadGroup&) = delete;

  // Throws std::system_error if there can be no more. `work` may not throw.
  void start(std::function<void()> work);
  size_t size() const { return threads_.size(); }

  // Waits for all. The main thread does meanwhile what is asked of it by doInMainThread().
  void join();

 private:
  std::vector<std::thread> threads_;
  size_t running_ = 0;
};

// Has the main thread do `work`, and waits for its end. If that waits for no threads, or is this
// one, it is done here. `work` may not throw.
//
// It is for a read() that Ctrl-C has to end: the kernel gives a signal that is for the whole
// process to the main thread if it can (signal(7), "chooses an arbitrary thread"; Linux tries that
// one first), so in another thread the read would go on.
void doInMainThread(const std::function<void()>& work);

}  // namespace pibrain
