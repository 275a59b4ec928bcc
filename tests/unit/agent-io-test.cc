#include "hub/ssh/agent-io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(ListAgentKeys, doesNotCloseAnotherThreadsFileIfNobodyListens) {
  TempDir dir;
  auto path = dir / "agent";
  // A socket that was left behind.
  int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(bind(left, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)), 0);
  close(left);

  std::atomic<bool> done = false;
  std::atomic<int> opened = 0, lost = 0;
  std::thread other([&]() {
    while (!done) {
      int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
      ++opened;
      if (close(fd) != 0) ++lost;
    }
  });
  std::vector<AgentKey> keys;
  for (int i = 0; i < 5000; ++i) EXPECT_FALSE(listAgentKeys(path, keys));
  done = true;
  other.join();
  EXPECT_GT(opened, 1000);
  EXPECT_EQ(lost, 0);
  EXPECT_TRUE(keys.empty());
}

}  // namespace
}  // namespace pibrain
