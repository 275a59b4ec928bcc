#include "hub/sync/archive.h"

#include <gtest/gtest.h>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

// 2026-01-31T12:00:00.123Z
constexpr int64_t STARTED = 1769860800 * SECOND + 123 * 1'000'000;
const std::string RUN = "spoke/20260131T120000.123Z";

// The archive beside the mirror, and on another filesystem where there is one.
class ArchiveTest : public testing::TestWithParam<const char*> {
 protected:
  Archive archive() { return Archive(archived_ / "new/deep", "spoke", STARTED); }
  std::optional<std::string> archived(const std::string& path, const std::string& again = "") {
    return archived_.read("new/deep/" + RUN + again + "/" + path);
  }

  TempDir mirror_;
  TempDir archived_{access(GetParam(), W_OK) == 0 ? GetParam() : "/tmp"};
};

INSTANTIATE_TEST_SUITE_P(Filesystems, ArchiveTest, testing::Values("/tmp", "/dev/shm"),
                         [](auto& param) { return param.index == 0 ? "same" : "other"; });

TEST_P(ArchiveTest, nothingIsMadeBeforeItIsNeeded) {
  auto unused = archive();
  unused.flush();
  EXPECT_FALSE(archived_.exists("new"));
}

TEST_P(ArchiveTest, preserveLeavesTheMirrorsOwn) {
  mirror_.write("a/b/file", "content");
  auto archive = this->archive();
  kj::AutoCloseFd dir(open((mirror_ / "a/b").c_str(), O_RDONLY | O_DIRECTORY));
  archive.preserve(dir, "file", "a/b/file");
  EXPECT_EQ(archived("a/b/file"), "content");
  EXPECT_EQ(archived_.mtime("new/deep/" + RUN + "/a/b/file"), OLD);
  EXPECT_EQ(mirror_.read("a/b/file"), "content");
  EXPECT_EQ(archived_.mode("new"), 0700u);
  EXPECT_EQ(archived_.mode("new/deep/" + RUN + "/a/b"), 0700u);
  archive.flush();
}

TEST_P(ArchiveTest, takeMovesIt) {
  auto large = noise(700'000, 1);
  mirror_.write("file", large);
  auto archive = this->archive();
  archive.take(mirror_.open(), "file", "file");
  EXPECT_TRUE(archived("file") == large);
  EXPECT_EQ(archived_.mtime("new/deep/" + RUN + "/file"), OLD);
  EXPECT_FALSE(mirror_.exists("file"));
}

TEST_P(ArchiveTest, samePathTwiceKeepsBoth) {
  auto archive = this->archive();
  std::string longName(255, 'n');
  for (std::string name : {std::string("d/file"), "d/" + longName}) {
    for (std::string version : {"1", "2", "3"}) {
      mirror_.write(name, version);
      kj::AutoCloseFd dir(open((mirror_ / "d").c_str(), O_RDONLY | O_DIRECTORY));
      if (version == "2") {
        archive.preserve(dir, name.substr(2), name);
      } else {
        archive.take(dir, name.substr(2), name);
      }
      unlink((mirror_ / name).c_str());
    }
  }
  EXPECT_EQ(archived("d/file"), "1");
  EXPECT_EQ(archived("d/file", "~2"), "2");
  EXPECT_EQ(archived("d/file", "~3"), "3");
  EXPECT_EQ(archived("d/" + longName), "1");
  EXPECT_EQ(archived("d/" + longName, "~2"), "2");
}

TEST_P(ArchiveTest, fileBeneathAnArchivedFile) {
  auto archive = this->archive();
  mirror_.write("a", "a file");
  archive.take(mirror_.open(), "a", "a");
  mirror_.write("a/b/c", "a directory in its place");
  kj::AutoCloseFd dir(open((mirror_ / "a/b").c_str(), O_RDONLY | O_DIRECTORY));
  archive.take(dir, "c", "a/b/c");
  EXPECT_EQ(archived("a"), "a file");
  EXPECT_EQ(archived("a/b/c", "~2"), "a directory in its place");
}

TEST(ArchiveRun, namesAndTimes) {
  EXPECT_EQ(archiveRunName(STARTED), "20260131T120000.123Z");
  EXPECT_EQ(archiveRunTime("20260131T120000.123Z"), STARTED);
  EXPECT_EQ(archiveRunTime("20260131T120000.123Z~12"), STARTED);
  for (auto* no : {"", "x", "20260131", "20261331T120000.123Z", "20260131T120000.123", "~2",
                   "20260131T120000.123Z.old", "2026-01-31T12:00:00.123Z"}) {
    EXPECT_EQ(archiveRunTime(no), std::nullopt) << no;
  }
}

TEST_P(ArchiveTest, whatFailsIsAsItWas) {
  auto archive = this->archive();
  EXPECT_THROW(archive.take(mirror_.open(), "missing", "missing"), kj::Exception);
  EXPECT_THROW(archive.preserve(mirror_.open(), "missing", "missing"), kj::Exception);
  EXPECT_FALSE(archived("missing"));

  mirror_.write("file", "content");
  archived_.write("blocked/spoke", "a file in the way");
  Archive blocked(archived_ / "blocked", "spoke", STARTED);
  EXPECT_THROW(blocked.take(mirror_.open(), "file", "file"), kj::Exception);
  EXPECT_THROW(blocked.preserve(mirror_.open(), "file", "file"), kj::Exception);
  EXPECT_EQ(mirror_.read("file"), "content");
}

TEST_P(ArchiveTest, symlinkInTheArchiveIsNotFollowed) {
  TempDir elsewhere;
  auto archive = this->archive();
  mirror_.write("first", "x");
  archive.take(mirror_.open(), "first", "first");
  EXPECT_EQ(symlink(elsewhere.path().c_str(), (archived_ / "new/deep/" + RUN + "/d").c_str()), 0);
  mirror_.write("d/file", "content");
  kj::AutoCloseFd dir(open((mirror_ / "d").c_str(), O_RDONLY | O_DIRECTORY));
  archive.take(dir, "file", "d/file");
  EXPECT_FALSE(elsewhere.exists("file"));
  EXPECT_EQ(archived("d/file", "~2"), "content");
}

TEST_P(ArchiveTest, symlinkInThePlaceOfASpokesArchiveIsNotFollowed) {
  TempDir elsewhere;
  mirror_.write("file", "content");
  archived_.write("new/deep/x", "x");
  for (std::string name : {"spoke", "spoke/20260131T120000.123Z"}) {
    auto link = archived_ / ("new/deep/" + name);
    EXPECT_EQ(symlink(elsewhere.path().c_str(), link.c_str()), 0);
    auto archive = this->archive();
    EXPECT_THROW(archive.take(mirror_.open(), "file", "file"), kj::Exception);
    EXPECT_THROW(archive.preserve(mirror_.open(), "file", "file"), kj::Exception);
    unlink(link.c_str());
    archived_.write("new/deep/spoke/x", "x");
  }
  EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
  EXPECT_EQ(mirror_.read("file"), "content");
}

TEST_P(ArchiveTest, onlyFilesArePreserved) {
  auto archive = this->archive();
  mirror_.write("secret", "x");
  EXPECT_EQ(symlink((mirror_ / "secret").c_str(), (mirror_ / "link").c_str()), 0);
  EXPECT_EQ(mkfifo((mirror_ / "fifo").c_str(), 0600), 0);
  for (std::string name : {"link", "fifo"}) {
    EXPECT_THROW(archive.preserve(mirror_.open(), name, name), kj::Exception);
    EXPECT_FALSE(archived_.exists("new/deep/" + RUN + name)) << name;
  }
}

TEST(Archive, takesADirectoryWhole) {
  TempDir mirror, archived;
  mirror.write("d/e/file", "content");
  Archive archive(archived.path(), "spoke", STARTED);
  archive.take(mirror.open(), "d", "d");
  EXPECT_EQ(archived.read(RUN + "/d/e/file"), "content");
  EXPECT_FALSE(mirror.exists("d"));
}

TEST(MakeDirectoriesBeneath, makesParentsAndFollowsNothing) {
  TempDir dir, elsewhere;
  RootedDir root(dir.open());
  makeDirectoriesBeneath(root, "a/b/c", "here");
  makeDirectoriesBeneath(root, "a/b/c", "here");
  EXPECT_EQ(dir.mode("a/b/c"), 0700u);
  EXPECT_NO_THROW(makeDirectoriesBeneath(root, "", "here"));
  EXPECT_EQ(symlink(elsewhere.path().c_str(), (dir / "link").c_str()), 0);
  dir.write("file", "x");
  for (auto path : {"link", "link/x", "file", "file/x", "../x", "/tmp/x"}) {
    EXPECT_THROW(makeDirectoriesBeneath(root, path, "here"), kj::Exception) << path;
  }
  EXPECT_FALSE(elsewhere.exists("x"));
}

}  // namespace
}  // namespace pibrain
