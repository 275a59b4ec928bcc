#include "common/wire/worker.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include <atomic>
#include <chrono>

namespace pibrain {
namespace {

TEST(Worker, doesOneJobAfterTheOther) {
  Worker worker;
  worker.wait();  // nothing to wait for
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
  go = true;  // otherwise, begin() would never have returned
  worker.wait();
}

TEST(Worker, throwsExceptionsOfKj) {
  Worker worker;
  for (int i = 0; i < 3; ++i) {
    worker.begin([]() { KJ_FAIL_REQUIRE("broken"); });
    // KJ aborts if an exception of its own ends in a thread that did not throw it.
    EXPECT_THROW(worker.wait(), kj::Exception);
  }
  worker.wait();
}

TEST(Worker, throwsTheExceptionOfTheJob) {
  Worker worker;
  // KJ aborts if an exception of its own ends in a thread that did not throw it.
  worker.begin([]() { KJ_FAIL_REQUIRE("broken"); });
  EXPECT_THROW(worker.wait(), kj::Exception);
  bool done = false;
  worker.begin([&]() { done = true; });
  worker.wait();
  EXPECT_TRUE(done);
}

TEST(Worker, isDestroyedAfterItsJobIsDone) {
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
