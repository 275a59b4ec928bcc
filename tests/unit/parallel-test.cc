#include "hub/base/parallel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <set>

#include "tests/unit/own-process.h"

namespace pibrain {
namespace {

TEST(Parallel, eachItemIsProcessedOnce) {
  for (size_t jobs : {size_t(0), size_t(1), size_t(3), size_t(1000)}) {
    std::vector<std::atomic<int>> seen(100);
    forEachInParallel(seen.size(), jobs, [&](size_t i) { ++seen[i]; });
    for (auto& count : seen) EXPECT_EQ(count, 1) << jobs;
  }
  forEachInParallel(0, 8, [](size_t) { FAIL(); });
}

TEST(Parallel, runsAsManyAtATimeAsRequested) {
  std::atomic<int> atWork = 0;
  forEachInParallel(4, 4, [&](size_t) {
    ++atWork;
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (atWork < 4 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  EXPECT_EQ(atWork, 4);
}

// Returns how many threads did the work of eight, if there may be only `most`; 0 if work was left.
int threadsAtWork(rlim_t most) {
  return inAProcessOfItsOwn([&]() {
    if (!limitThreads(most)) return 100;
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::atomic<int> done = 0;
    forEachInParallel(16, 8, [&](size_t) {
      {
        std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      }
      ++done;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    });
    return done == 16 ? int(threads.size()) : 0;
  });
}

TEST(Parallel, continuesWithFewerThreads) {
  EXPECT_EQ(threadsAtWork(1), 1);  // the process itself
  EXPECT_EQ(threadsAtWork(4), 3);
  EXPECT_EQ(threadsAtWork(100), 8);
}

}  // namespace
}  // namespace pibrain
