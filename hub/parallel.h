#pragma once

#include <stddef.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace pibrain {

// Calls work(0) … work(count − 1), in that order, `jobs` of them at a time, each in a thread.
// `work` may not throw.
inline void forEachInParallel(size_t count, size_t jobs, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(std::max<size_t>(jobs, 1), count); ++i) {
    threads.emplace_back([&]() {
      for (size_t item; (item = next++) < count;) work(item);
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace pibrain
