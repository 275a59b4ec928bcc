// The daemon's place, its states, and what it and the commands tell each other.

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hub/base/failure.h"
#include "hub/daemon/place.h"
#include "hub/daemon/states.h"
#include "hub/daemon/wire.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

class DaemonPlaceTest : public testing::Test {
 protected:
  DaemonPlaceTest() { setenv("XDG_RUNTIME_DIR", dir_.path().c_str(), 1); }
  ~DaemonPlaceTest() override { unsetenv("XDG_RUNTIME_DIR"); }

  TempDir dir_;
  const std::string data_ = dir_ / "data";
};

TEST_F(DaemonPlaceTest, isFoundWhileItLasts) {
  EXPECT_FALSE(findDaemon(data_));
  {
    DaemonPlace place(data_);
    auto found = findDaemon(data_);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->pid, getpid());
    EXPECT_EQ(found->socket, place.socketPath());
    struct stat st;
    ASSERT_EQ(stat(place.socketPath().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
  }
  EXPECT_FALSE(findDaemon(data_));
}

TEST_F(DaemonPlaceTest, isForOne) {
  DaemonPlace place(data_);
  try {
    DaemonPlace another(data_);
    ADD_FAILURE();
  } catch (const Failure& e) {
    EXPECT_EQ(e.id(), FailureId::DAEMON_RUNS);
    EXPECT_NE(std::string(e.what()).find(std::to_string(getpid())), std::string::npos);
  }
}

TEST_F(DaemonPlaceTest, takesOverWhatAKilledOneLeft) {
  std::filesystem::create_directory(data_);
  std::ofstream(data_ + "/daemon.lock") << "1\n/nowhere\n";
  EXPECT_FALSE(findDaemon(data_));
  DaemonPlace place(data_);
  EXPECT_EQ(findDaemon(data_)->pid, getpid());
}

TEST_F(DaemonPlaceTest, isBesideTheLock) {
  DaemonPlace place(data_);
  EXPECT_EQ(place.socketPath(), data_ + "/daemon.sock");
}

TEST_F(DaemonPlaceTest, isInTheRuntimeDirectoryIfThePathIsTooLong) {
  auto far = data_ + "/" + std::string(100, 'x');
  {
    DaemonPlace place(far);
    EXPECT_TRUE(place.socketPath().starts_with(dir_ / "pi-brain/")) << place.socketPath();
    EXPECT_EQ(findDaemon(far)->socket, place.socketPath());
  }
  // Others could replace a socket there.
  std::filesystem::permissions(dir_.path(), std::filesystem::perms(0777));
  EXPECT_THROW(DaemonPlace place(far), Failure);
}

TEST(LiveStatesTest, lagsOfTheLatestChanges) {
  LiveStates states;
  EXPECT_EQ(states.of("laptop").lagP50, -1);
  for (int64_t i = 1; i <= 3000; ++i) {
    states.changed("laptop", {ChangeKind::GROW, "a", 0, 1, 1'000'000, 1'000'000 + i});
  }
  // The last thousand: 2001 to 3000.
  EXPECT_EQ(states.of("laptop").lagP50, 2501);
  EXPECT_EQ(states.of("laptop").lagP99, 2991);
  // A spoke whose clock is ahead.
  states.changed("laptop", {ChangeKind::GROW, "a", 0, 1, 2'000'000, 1'000'000});
  EXPECT_EQ(states.of("laptop").lastChange, 1'000'000);
}

TEST(LiveStatesTest, whatIsNotOnTheDiskYet) {
  LiveStates states;
  EXPECT_EQ(states.of("laptop").unflushed, 0);
  states.changed("laptop", {ChangeKind::GROW, "a", 0, 1, 1, 100});
  states.changed("laptop", {ChangeKind::GROW, "a", 1, 2, 1, 200});
  EXPECT_EQ(states.of("laptop").unflushed, 100);
  states.flushed("laptop");
  EXPECT_EQ(states.of("laptop").unflushed, 0);
  // A connection that broke before the flush: the next good scan flushes.
  states.changed("laptop", {ChangeKind::GROW, "a", 2, 3, 1, 300});
  states.lost("laptop", Failure(FailureId::UNREACHABLE, "gone"), std::chrono::seconds(5));
  EXPECT_EQ(states.of("laptop").unflushed, 300);
  SpokeReport report;
  report.outcome = Outcome::FAILED;
  states.passed("laptop", report);
  EXPECT_EQ(states.of("laptop").unflushed, 300);
  report.outcome = Outcome::OK;
  states.passed("laptop", report);
  EXPECT_EQ(states.of("laptop").unflushed, 0);
}

TEST(LiveStatesTest, aScanOfALiveSpokeIsPartOfBeingLive) {
  LiveStates states;
  states.entered("laptop", LiveState::CONNECTING, "");
  states.entered("laptop", LiveState::SCANNING, "");
  EXPECT_EQ(states.of("laptop").state, LiveState::SCANNING);
  states.entered("laptop", LiveState::LIVE, "");
  auto since = states.of("laptop").since;
  states.entered("laptop", LiveState::SCANNING, "");
  states.entered("laptop", LiveState::LIVE, "");
  EXPECT_EQ(states.of("laptop").state, LiveState::LIVE);
  EXPECT_EQ(states.of("laptop").since, since);
}

TEST(LiveStatesTest, awayIsNotBroken) {
  LiveStates states;
  states.entered("laptop", LiveState::LIVE, "");
  states.lost("laptop", Failure(FailureId::UNREACHABLE, "gone"), std::chrono::seconds(5));
  auto away = states.of("laptop");
  EXPECT_STREQ(shownState(away), "offline");
  EXPECT_GT(away.nextAttempt, away.since);
  // Another attempt is still the same absence.
  states.entered("laptop", LiveState::CONNECTING, "");
  EXPECT_EQ(states.of("laptop").since, away.since);
  EXPECT_STREQ(shownState(states.of("laptop")), "offline");
  states.lost("laptop", Failure(FailureId::HOST_KEY_CHANGED, "another key"),
              std::chrono::seconds(5));
  EXPECT_STREQ(shownState(states.of("laptop")), "failed");
  states.entered("laptop", LiveState::LIVE, "");
  EXPECT_STREQ(shownState(states.of("laptop")), "live");
  EXPECT_FALSE(states.of("laptop").failure);
}

TEST(ControlWireTest, aReportArrivesAsItWas) {
  SpokeReport report;
  report.name = "laptop";
  report.outcome = Outcome::FAILED;
  report.failure = Failure(FailureId::DISK_FULL, "no room", "It is full.", {{"Make room", "df"}});
  report.warnings = {"one", "\xff"};
  report.transport = "libssh2";
  report.counts = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  report.deferred = {"a"};
  report.changes = {{ChangeKind::MOVE, "b\xff", "c", 11, 12}};
  report.started = 13;
  report.finished = 14;
  report.bytesGrown = 15;
  report.bytesLiteral = 16;
  report.wire = {17, 18};
  capnp::MallocMessageBuilder message;
  encode(report, message.initRoot<control::Report>());
  auto read = pibrain::decode(message.getRoot<control::Report>().asReader());
  EXPECT_EQ(read.name, report.name);
  EXPECT_EQ(read.outcome, report.outcome);
  EXPECT_EQ(packed(*read.failure), packed(*report.failure));
  EXPECT_EQ(read.warnings, report.warnings);
  EXPECT_EQ(read.transport, report.transport);
  EXPECT_EQ(memcmp(&read.counts, &report.counts, sizeof(Counts)), 0);
  EXPECT_EQ(read.deferred, report.deferred);
  ASSERT_EQ(read.changes.size(), 1u);
  EXPECT_EQ(read.changes[0].kind, ChangeKind::MOVE);
  EXPECT_EQ(read.changes[0].path, "b\xff");
  EXPECT_EQ(read.changes[0].from, "c");
  EXPECT_EQ(read.changes[0].size, 11u);
  EXPECT_EQ(read.changes[0].added, 12u);
  EXPECT_EQ(read.started, 13);
  EXPECT_EQ(read.finished, 14);
  EXPECT_EQ(read.bytesGrown, 15u);
  EXPECT_EQ(read.bytesLiteral, 16u);
  EXPECT_EQ(read.wire.up, 17u);
  EXPECT_EQ(read.wire.down, 18u);
}

}  // namespace
}  // namespace pibrain
