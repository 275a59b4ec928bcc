#include "hub/ssh/session.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pibrain {
namespace {

// libssh2 says "again" when it was given less than the block that begins a packet, and does not ask
// for the rest. If that is in the socket already, and the peer waits for us, nothing else comes.
TEST(SshSession, whatTheRateHeldBackIsAskedForAgain) {
  auto io = kj::setupAsyncIo();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  kj::AutoCloseFd ours(ends[0]), peers(ends[1]);
  auto limiter = std::make_shared<RateLimiter>(10'000.0);
  SshSession session(kj::mv(ours), io.unixEventPort, io.provider->getTimer(), limiter);
  std::string sent(4000, 'x');
  ASSERT_EQ(write(peers, sent.data(), sent.size()), ssize_t(sent.size()));
  // The edge that tells of these bytes is past.
  session.progress().wait(io.waitScope);

  char buffer[16384];
  while (limiter->take(100) == 100) {
  }
  ssize_t got = 0;
  while (got < ssize_t(sent.size())) {
    ssize_t n = session.receive(buffer, sizeof(buffer));
    if (n > 0) got += n;
    // As libssh2 does it, with few bytes as with none.
    bool woken = session.progress()
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
