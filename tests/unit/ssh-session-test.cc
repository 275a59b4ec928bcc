#include "hub/ssh/libssh2/session.h"

#include <gtest/gtest.h>
#include <kj/debug.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <vector>

namespace pibrain {
namespace {

class Session : public testing::Test {
 protected:
  ~Session() noexcept override {}

  void write(std::string_view text) {
    ASSERT_EQ(::write(peers_, text.data(), text.size()), ssize_t(text.size()));
  }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  kj::AutoCloseFd peers_;
  SshSession session_{ends(), io_.unixEventPort, io_.provider->getTimer(), nullptr};
  char buffer_[16384];

 private:
  kj::AutoCloseFd ends() {
    int both[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both));
    peers_ = kj::AutoCloseFd(both[1]);
    return kj::AutoCloseFd(both[0]);
  }
};

TEST_F(Session, memoryIsBounded) {
  constexpr size_t MIB = 1024 * 1024;
  std::vector<void*> kept;
  for (int i = 0; i < 60; ++i) kept.push_back(session_.allocate(MIB));
  // Freed memory does not count, nor memory that was resized.
  for (int i = 0; i < 60; ++i) session_.release(session_.allocate(MIB));
  for (int i = 0; i < 60; ++i) kept[0] = session_.reallocate(kept[0], i % 2 ? MIB : MIB / 2);
  write("x");
  EXPECT_EQ(session_.receive(buffer_, sizeof(buffer_)), 1);
  EXPECT_FALSE(session_.dead());
  for (int i = 0; i < 5; ++i) kept.push_back(session_.allocate(MIB));
  write("x");
  EXPECT_EQ(session_.receive(buffer_, sizeof(buffer_)), -ECONNRESET);
  EXPECT_TRUE(session_.dead() && session_.flooded());
  EXPECT_EQ(session_.lastError(), "it keeps sending data that was not requested");
  for (auto* block : kept) session_.release(block);
}

// One edge announces the bytes and the end after them, and libssh2 may read the bytes alone.
TEST_F(Session, theEndAfterHalfAPacketIsNoticed) {
  write("half");
  peers_ = nullptr;
  session_.activity().wait(io_.waitScope);
  EXPECT_EQ(session_.receive(buffer_, sizeof(buffer_)), 4);
  bool woken = session_.activity()
                   .then([]() { return true; })
                   .exclusiveJoin(io_.provider->getTimer().afterDelay(5 * kj::SECONDS).then([]() {
                     return false;
                   }))
                   .wait(io_.waitScope);
  EXPECT_TRUE(woken);
  EXPECT_EQ(session_.receive(buffer_, sizeof(buffer_)), 0);
  EXPECT_TRUE(session_.dead());
}

TEST_F(Session, aDeadlinePassesAlthoughBytesKeepComing) {
  session_.setDeadlineAfter(1);
  uint64_t calls = 0;
  auto call = [&]() {
    ++calls;
    session_.receive(buffer_, sizeof(buffer_));
    write("some more");
    return SSH_AGAIN;
  };
  KJ_IF_MAYBE(e,
              kj::runCatchingExceptions([&]() { session_.runToCompletion(call, io_.waitScope); })) {
    EXPECT_EQ(e->getType(), kj::Exception::Type::DISCONNECTED);
    EXPECT_EQ(e->getDescription(), "timed out");
  } else {
    FAIL();
  }
  EXPECT_GT(calls, 10u);
}

// libssh2 returns EAGAIN for less than the first block of a packet, without reading the rest. If
// that is in the socket already, and the peer waits for us, no other edge arrives.
TEST(SshSession, bytesHeldBackByTheRateLimitAreReadLater) {
  auto io = kj::setupAsyncIo();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  kj::AutoCloseFd ours(ends[0]), peers(ends[1]);
  auto limiter = std::make_shared<RateLimiter>(10'000.0);
  SshSession session(kj::mv(ours), io.unixEventPort, io.provider->getTimer(), limiter);
  std::string sent(4000, 'x');
  ASSERT_EQ(write(peers, sent.data(), sent.size()), ssize_t(sent.size()));
  // The edge for these bytes has passed.
  session.activity().wait(io.waitScope);

  char buffer[16384];
  while (limiter->take(100) == 100) {
  }
  ssize_t got = 0;
  while (got < ssize_t(sent.size())) {
    ssize_t n = session.receive(buffer, sizeof(buffer));
    if (n > 0) got += n;
    // As libssh2 does: few bytes count as none.
    bool woken = session.activity()
                     .then([]() { return true; })
                     .exclusiveJoin(io.provider->getTimer().afterDelay(10 * kj::SECONDS).then([]() {
                       return false;
                     }))
                     .wait(io.waitScope);
    ASSERT_TRUE(woken) << "after " << got << " bytes";
  }
}

}  // namespace
}  // namespace pibrain
