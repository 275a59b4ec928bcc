#include "hub/agent/file-transfer.h"

#include <gtest/gtest.h>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

class FileTransferTest : public testing::Test {
 protected:
  ~FileTransferTest() noexcept override {}

  static PlannedFile planned(const std::string& path, ChangeKind kind, uint64_t size,
                             uint64_t basisSize = 0) {
    PlannedFile file;
    file.remote.path = path;
    file.remote.size = size;
    file.remote.mtime = OLD + 1;
    file.kind = kind;
    file.basisSize = basisSize;
    if (basisSize > 0) file.basis = path;
    return file;
  }
  FileTransfer begin(const PlannedFile& file) {
    return FileTransfer(file, mirror_, candidates_, nullptr);
  }
  static Want::Kind asked(FileTransfer& file) { return file.prepare().value().kind; }

  TempDir dir_;
  Mirror mirror_{dir_ / "mirror", Mirror::Access::WRITE, Archive(dir_ / "archive", "spoke", OLD)};
  Candidates candidates_;
};

TEST_F(FileTransferTest, eachMethodIsFollowedByTheNext) {
  auto old = noise(20'000, 1);
  dir_.write("mirror/file", old);
  auto plan = planned("file", ChangeKind::GROW, 30'000, old.size());
  auto file = begin(plan);
  EXPECT_EQ(asked(file), Want::Kind::PREFIX);
  EXPECT_EQ(file.method(), Method::TAIL);
  EXPECT_EQ(file.basis().size, old.size());
  file.tryNext();
  EXPECT_EQ(asked(file), Want::Kind::SIGNATURE);
  file.tryNext();
  EXPECT_EQ(asked(file), Want::Kind::NEW);
  file.tryNext();
  EXPECT_EQ(asked(file), Want::Kind::WHOLE);
  EXPECT_EQ(file.basis().size, 0u);
}

TEST_F(FileTransferTest, whatIsKnownIsNotReadAgain) {
  auto old = noise(20'000, 1);
  dir_.write("mirror/file", old);
  auto plan = planned("file", ChangeKind::GROW, 30'000, old.size());
  LiveFile live;
  live.size = old.size();
  live.times[0] = live.times[1] = OLD;
  live.hasher.update(bytesOf("what it was made of does not matter"));
  plan.live = std::make_shared<LiveFile>(live);
  auto file = begin(plan);
  auto want = file.prepare().value();
  EXPECT_EQ(want.kind, Want::Kind::PREFIX);
  EXPECT_TRUE(want.asSent);
  EXPECT_EQ(want.prefixSize, old.size());
  EXPECT_EQ(want.prefixHash, live.hasher.digest());
  file.tryNext();
  file.prepare();
  EXPECT_EQ(file.method(), Method::DELTA) << "its beginning differs";
  // Somebody changed the mirror's file.
  dir_.write("mirror/file", old, OLD + 1);
  auto other = begin(plan);
  other.prepare();
  EXPECT_EQ(other.method(), Method::DELTA);
}

TEST_F(FileTransferTest, theMethodsDependOnTheChange) {
  auto old = noise(20'000, 1);
  dir_.write("mirror/file", old);
  auto methodOf = [&](const PlannedFile& plan) {
    auto file = begin(plan);
    file.prepare();
    return file.method();
  };
  EXPECT_EQ(methodOf(planned("new", ChangeKind::NEW, 10)), Method::NEW);
  EXPECT_EQ(methodOf(planned("file", ChangeKind::GROW, 30'000, old.size())), Method::TAIL);
  EXPECT_EQ(methodOf(planned("file", ChangeKind::REWRITE, 19'000, old.size())), Method::DELTA);
  EXPECT_EQ(methodOf(planned("file", ChangeKind::REWRITE, 100, old.size())), Method::NEW)
      << "a signature would be larger";
  EXPECT_EQ(methodOf(planned("went", ChangeKind::GROW, 30'000, old.size())), Method::NEW)
      << "its basis went meanwhile";
}

TEST_F(FileTransferTest, aCandidateServesOneFile) {
  dir_.write("mirror/a", "same");
  dir_.write("mirror/b", "same");
  auto plan = planned("new/x", ChangeKind::MOVE, 4);
  plan.candidates = {"a", "b"};
  auto first = begin(plan), second = begin(plan), third = begin(plan);
  EXPECT_EQ(asked(first), Want::Kind::PREFIX);
  EXPECT_FALSE(second.prepare()) << "what becomes of the first decides whether 'a' is left";
  first.received(4);
  EXPECT_EQ(first.movedFrom(), "a");
  EXPECT_EQ(asked(second), Want::Kind::PREFIX);
  EXPECT_EQ(second.basis().path, "b");
  EXPECT_FALSE(third.prepare());
  second.tryNext();
  EXPECT_EQ(asked(second), Want::Kind::NEW) << "it was neither";
  EXPECT_EQ(second.movedFrom(), "");
  EXPECT_EQ(asked(third), Want::Kind::PREFIX);
  EXPECT_EQ(third.basis().path, "b");
}

TEST_F(FileTransferTest, callsOutOfOrderThrow) {
  auto plan = planned("new", ChangeKind::NEW, 10);
  auto file = begin(plan);
  EXPECT_THROW(file.published(), kj::Exception) << "nothing has arrived";
  EXPECT_THROW(file.received(10), kj::Exception) << "nothing was requested";
  EXPECT_EQ(asked(file), Want::Kind::NEW);
  file.tryNext();
  EXPECT_EQ(asked(file), Want::Kind::WHOLE);
  EXPECT_THROW(file.tryNext(), kj::Exception) << "there is no other method";
  EXPECT_EQ(asked(file), Want::Kind::WHOLE);
  file.end(FileTransfer::State::FAILED);
  EXPECT_THROW(file.prepare(), kj::Exception) << "it has ended";
}

TEST_F(FileTransferTest, aPostponedWantIsNotMadeAgain) {
  auto old = noise(20'000, 1);
  dir_.write("mirror/file", old);
  auto plan = planned("file", ChangeKind::REWRITE, 19'000, old.size());
  auto file = begin(plan);
  auto want = file.prepare().value();
  auto size = want.signature.size();
  EXPECT_GT(size, 0u);
  file.keep(kj::mv(want));
  dir_.write("mirror/file", "");
  EXPECT_EQ(file.prepare().value().signature.size(), size);
}

TEST_F(FileTransferTest, aChangingFileIsRequestedAFewTimes) {
  auto plan = planned("new", ChangeKind::NEW, 10);
  auto file = begin(plan);
  int tries = 0;
  while (file.retry()) ++tries;
  EXPECT_EQ(tries, 2);
}

}  // namespace
}  // namespace pibrain
