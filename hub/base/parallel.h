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

// Calls work(0) … work(count − 1), in that order, `jobs` of them at a time, each in a thread. Fewer
// at a time if there can be no more threads, and in this one if there can be none. `work` may not
// throw.
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
    // A limit of processes, or of memory.
  }
  if (threads.size() == 0) workOn();
  threads.join();
}

// Begins the work in a thread of its own. If there can be none, it is done by who asks for its
// result.
template <typename Work>
std::future<std::invoke_result_t<Work>> startInBackground(Work work) {
  try {
    return std::async(std::launch::async, work);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, work);
  }
}

}  // namespace pibrain
