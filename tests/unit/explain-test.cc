#include "hub/agent/explain.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <kj/debug.h>

#include <stdexcept>

#include "common/fs/io-error.h"
#include "hub/mirror/restore.h"
#include "hub/rsync/explain.h"
#include "hub/run/outcome.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

SpokeConfig spokeAt(const std::string& host) {
  SpokeConfig spoke;
  spoke.name = "laptop";
  spoke.source.host = host;
  spoke.path = "/mirror";
  spoke.timeoutSeconds = 300;
  return spoke;
}

FailureId idOfErrno(int error) {
  auto thrown =
      kj::runCatchingExceptions([&]() { throwErrno(error, "cannot write 'a' in the mirror"); });
  return explainOutside(spokeAt(""), KJ_ASSERT_NONNULL(thrown)).id();
}

TEST(Explain, errorsOfThisMachineAreRecognized) {
  EXPECT_EQ(idOfErrno(ENOSPC), FailureId::DISK_FULL);
  EXPECT_EQ(idOfErrno(EDQUOT), FailureId::DISK_FULL);
  EXPECT_EQ(idOfErrno(EIO), FailureId::DISK_FAILING);
  EXPECT_EQ(idOfErrno(EROFS), FailureId::READ_ONLY_FILESYSTEM);
  EXPECT_EQ(idOfErrno(EMFILE), FailureId::TOO_MANY_OPEN_FILES);
  EXPECT_EQ(idOfErrno(ENFILE), FailureId::TOO_MANY_OPEN_FILES);
  EXPECT_EQ(idOfErrno(EAGAIN), FailureId::TOO_MANY_PROCESSES);
  EXPECT_EQ(idOfErrno(EACCES), FailureId::HUB_FILE_ERROR);
  auto own = kj::Exception(kj::Exception::Type::OVERLOADED, "kj/async-unix.c++", 1,
                           kj::heapString("epoll_create1(): Too many open files"));
  EXPECT_EQ(explainOutside(spokeAt(""), own).id(), FailureId::TOO_MANY_OPEN_FILES);
}

// Whatever text a peer chooses, its error does not count as one of this machine.
TEST(Explain, aPeersErrorIsNotLocal) {
  for (auto* text : {"cannot write: No space left on device", "Too many open files"}) {
    auto theirs =
        kj::Exception(kj::Exception::Type::OVERLOADED, "(remote)", 0, kj::heapString(text));
    EXPECT_EQ(explainOutside(spokeAt("box"), theirs).id(), FailureId::PROTOCOL_ERROR) << text;
  }
}

TEST(Explain, silenceAndTrickles) {
  auto lost = [](const char* tag) {
    return kj::Exception(kj::Exception::Type::DISCONNECTED, tag, 0, kj::heapString("x"));
  };
  auto spoke = spokeAt("box");
  Heard heard;
  heard.agent = true;
  auto silent = explainConversation(spoke, lost("(silent)"), heard, 60);
  EXPECT_EQ(silent.id(), FailureId::CONNECTION_SILENT);
  EXPECT_EQ(silent.summary(), "box was silent for 60 s") << "not for timeout_seconds";
  auto slow = explainConversation(spoke, lost("(trickled)"), heard, 60);
  EXPECT_EQ(slow.id(), FailureId::CONNECTION_SLOW);
  EXPECT_EQ(slow.summary(), "box sent almost nothing for 600 s, only a few bytes a second");
  EXPECT_EQ(explainConversation(spoke, lost("x"), heard, 60).id(), FailureId::CONNECTION_LOST);
}

TEST(Explain, exitCodesOfRsync) {
  auto idOf = [](int status, const std::string& errors) {
    RsyncRun run;
    run.begun = true;
    run.exitStatus = status;
    run.errors = errors;
    return explainRsync(spokeAt(""), nullptr, run).id();
  };
  EXPECT_EQ(idOf(1, "rsync: --nonsense: unknown option"), FailureId::RSYNC_ARGUMENTS);
  EXPECT_EQ(idOf(11, "rsync: write failed"), FailureId::RSYNC_FAILED);
  EXPECT_EQ(idOf(99, ""), FailureId::RSYNC_FAILED);
  EXPECT_EQ(idOf(127, "sh: rsync: not found"), FailureId::RSYNC_MISSING);
  EXPECT_EQ(idOf(23, "rsync: change_dir \"/x\" failed: No such file or directory (2)"),
            FailureId::ROOT_MISSING);
  EXPECT_EQ(idOf(30, ""), FailureId::CONNECTION_SILENT);
}

TEST(Outcome, unexpectedExceptionsAreReported) {
  SpokeReport report;
  reportOutcome(spokeAt(""), report, []() { throw std::logic_error("never"); });
  ASSERT_TRUE(report.failure);
  EXPECT_EQ(report.failure->id(), FailureId::INTERNAL_ERROR);
  EXPECT_EQ(report.outcome, Outcome::FAILED);
  std::system_error threads(std::make_error_code(std::errc::resource_unavailable_try_again));
  reportOutcome(spokeAt(""), report, [&]() { throw threads; });
  EXPECT_EQ(report.failure->id(), FailureId::TOO_MANY_PROCESSES);
}

class RestoreTest : public testing::Test {
 protected:
  std::optional<FailureId> idOf(const ArchivedFile& file, const std::string& to) {
    auto failure = restoreArchived(config_, {file}, {to, false}, false).at(0).failure;
    return failure ? std::optional(failure->id()) : std::nullopt;
  }

  RestoreTest() {
    config_.hub.archiveDir = dir_ / "archive";
    config_.hub.databaseDir = dir_ / "data";
    config_.file = "config.yaml";
  }

  TempDir dir_;
  Config config_;
};

TEST_F(RestoreTest, failedRestores) {
  EXPECT_EQ(chooseArchived({}, {{}, "", {"abc"}}).failures.at(0).id(),
            FailureId::ARCHIVED_FILE_UNKNOWN);
  dir_.write("archive/laptop/20260131T120000.123Z/p/a.jsonl", "old");
  auto file = archivedFiles(config_.hub.archiveDir, "laptop")->at(0);
  auto chosen = chooseArchived({file}, {{}, "", {file.id.substr(0, 4)}});
  ASSERT_EQ(chosen.files.size(), 1u);
  EXPECT_EQ(chosen.files[0].path, "p/a.jsonl");
  EXPECT_EQ(idOf(file, ""), FailureId::SPOKE_UNKNOWN);
  dir_.write("there", "x");
  EXPECT_EQ(idOf(file, dir_ / "there"), FailureId::RESTORE_TARGET_EXISTS);
  EXPECT_EQ(idOf(file, dir_ / "no/such/place"), FailureId::RESTORE_FAILED);
  EXPECT_EQ(idOf(file, dir_ / "back"), std::nullopt);
  file.path = "p/gone.jsonl";
  EXPECT_EQ(idOf(file, dir_ / "other"), FailureId::ARCHIVE_UNREADABLE);
}

}  // namespace
}  // namespace pibrain
