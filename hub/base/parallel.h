#pragma once

#include <stddef.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <system_error>
#include <type_traits>

#include "hub/base/thread-group.h"

namespace pibrain {

// Calls work(0) … work(count − 1), in that order, in up to `jobs` threads, or fewer if the system
// allows no more; in the calling thread if it allows none. `work` must not throw.
inline void forEachInParallel(size_t count, size_t jobs, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  auto workOn = [&]() {
    for (size_t item; (item = next++) < count;) work(item);
  };
  ThreadGroup threads;
  size_t wanted = std::min(std::max<size_t>(jobs, 1), count);
  try {
    while (threads.size() < wanted) threads.start(workOn);
  } catch (const std::system_error&) {
    // The limit of processes or of memory is reached.
  }
  if (threads.size() == 0) workOn();
  threads.join();
}

// Starts the work in a new thread. If there can be no thread, the work is done when its result is
// asked for.
template <typename Work>
std::future<std::invoke_result_t<Work>> startInBackground(Work work) {
  try {
    return std::async(std::launch::async, work);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, work);
  }
}

}  // namespace pibrain
