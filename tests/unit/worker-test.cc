#include "common/wire/worker.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include <atomic>
#include <chrono>

namespace pibrain {
namespace {

TEST(Worker, doesOneThingAfterTheOther) {
  Worker worker;
  worker.wait();  // for nothing
  std::vector<int> done;
  for (int i = 0; i < 100; ++i) {
    worker.begin([&done, i]() { done.push_back(i); });
    worker.wait();
    ASSERT_EQ(done.size(), size_t(i) + 1);
    ASSERT_EQ(done.back(), i);
  }
}

TEST(Worker, worksInAnotherThread) {
  Worker worker;
  std::atomic<bool> go{false};
  worker.begin([&]() {
    while (!go) std::this_thread::yield();
  });
  go = true;  // begin() would never have returned
  worker.wait();
}

TEST(Worker, throwsKjsExceptionsToo) {
  Worker worker;
  for (int i = 0; i < 3; ++i) {
    worker.begin([]() { KJ_FAIL_REQUIRE("broken"); });
    // KJ aborts when one of its exceptions ends in another thread than it began in.
    EXPECT_THROW(worker.wait(), kj::Exception);
  }
  worker.wait();
}

TEST(Worker, throwsWhatTheWorkThrew) {
  Worker worker;
  // KJ aborts if its exception ends in another thread than the one that threw it.
  worker.begin([]() { KJ_FAIL_REQUIRE("broken"); });
  EXPECT_THROW(worker.wait(), kj::Exception);
  bool done = false;
  worker.begin([&]() { done = true; });
  worker.wait();
  EXPECT_TRUE(done);
}

TEST(Worker, endsWhenItsWorkIsDone) {
  std::atomic<bool> done{false};
  {
    Worker worker;
    worker.begin([&]() {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      done = true;
    });
  }
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace pibrain
