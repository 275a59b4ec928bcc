#include "hub/mirror/archive.h"
#include "common/fs/file-io.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "hub/mirror/archive-age.h"
#include "hub/mirror/archive-catalog.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

// 2026-01-31T12:00:00.123Z
constexpr int64_t STARTED = 1769860800 * SECOND + 123 * 1'000'000;
const std::string RUN = "spoke/20260131T120000.123Z~replaced";
constexpr auto WHY = ArchiveReason::REPLACED;

// The archive beside the mirror, and on another filesystem if there is one.
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

TEST_P(ArchiveTest, nothingIsCreatedBeforeItIsNeeded) {
  auto unused = archive();
  unused.flush();
  EXPECT_FALSE(archived_.exists("new"));
}

TEST_P(ArchiveTest, preserveLeavesTheMirrorsFile) {
  mirror_.write("a/b/file", "content");
  auto archive = this->archive();
  kj::AutoCloseFd dir(open((mirror_ / "a/b").c_str(), O_RDONLY | O_DIRECTORY));
  archive.preserve(dir, "file", "a/b/file", WHY);
  EXPECT_EQ(archived("a/b/file"), "content");
  EXPECT_EQ(archived_.mtime("new/deep/" + RUN + "/a/b/file"), OLD);
  EXPECT_EQ(mirror_.read("a/b/file"), "content");
  EXPECT_EQ(archived_.mode("new"), 0700u);
  EXPECT_EQ(archived_.mode("new/deep/" + RUN + "/a/b"), 0700u);
  archive.flush();
}

TEST_P(ArchiveTest, takeMovesTheFile) {
  auto large = noise(700'000, 1);
  mirror_.write("file", large);
  auto archive = this->archive();
  archive.take(mirror_.open(), "file", "file", WHY);
  EXPECT_TRUE(archived("file") == large);
  EXPECT_EQ(archived_.mtime("new/deep/" + RUN + "/file"), OLD);
  EXPECT_FALSE(mirror_.exists("file"));
}

TEST_P(ArchiveTest, holesStayHoles) {
  std::string sparse(9 << 20, '\0');
  sparse.replace(5 << 20, 4, "mark");
  mirror_.write("file", "x");
  ASSERT_EQ(truncate((mirror_ / "file").c_str(), 0), 0);
  ASSERT_EQ(truncate((mirror_ / "file").c_str(), off_t(sparse.size())), 0);
  kj::AutoCloseFd fd(open((mirror_ / "file").c_str(), O_WRONLY));
  writeAllAt(fd, bytesOf("mark"), 5 << 20);
  auto archive = this->archive();
  archive.take(mirror_.open(), "file", "file", WHY);
  EXPECT_TRUE(archived("file") == sparse);
  EXPECT_LT(archived_.stat("new/deep/" + RUN + "/file").st_blocks, 64) << "of 512 bytes each";
}

TEST_P(ArchiveTest, samePathTwiceKeepsBoth) {
  auto archive = this->archive();
  std::string longName(255, 'n');
  for (std::string name : {std::string("d/file"), "d/" + longName}) {
    for (std::string version : {"1", "2", "3"}) {
      mirror_.write(name, version);
      kj::AutoCloseFd dir(open((mirror_ / "d").c_str(), O_RDONLY | O_DIRECTORY));
      if (version == "2") {
        archive.preserve(dir, name.substr(2), name, WHY);
      } else {
        archive.take(dir, name.substr(2), name, WHY);
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
  archive.take(mirror_.open(), "a", "a", WHY);
  mirror_.write("a/b/c", "a directory in its place");
  kj::AutoCloseFd dir(open((mirror_ / "a/b").c_str(), O_RDONLY | O_DIRECTORY));
  archive.take(dir, "c", "a/b/c", WHY);
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

TEST(ArchiveRun, namesAndReasons) {
  for (auto [name, run, reason] : {
           std::tuple("20260131T120000.123Z", "20260131T120000.123Z", ArchiveReason::UNKNOWN),
           {"20260131T120000.123Z~2", "20260131T120000.123Z", ArchiveReason::UNKNOWN},
           {"20260131T120000.123Z~replaced", "20260131T120000.123Z", ArchiveReason::REPLACED},
           {"20260131T120000.123Z~deleted~12", "20260131T120000.123Z", ArchiveReason::DELETED},
           {"20260131T120000.123Z~edited", "20260131T120000.123Z", ArchiveReason::EDITED},
           {"20260131T120000.123Z~repaired", "20260131T120000.123Z", ArchiveReason::REPAIRED},
           {"20260131T120000.123Z~recovered", "20260131T120000.123Z", ArchiveReason::RECOVERED},
           {"20260131T120000.123Z~later", "20260131T120000.123Z", ArchiveReason::UNKNOWN},
           {"20260131T120000.123Z~editedtoo", "20260131T120000.123Z", ArchiveReason::UNKNOWN},
           {"removed-20260131T120000.123Z~2", "removed-20260131T120000.123Z",
            ArchiveReason::REMOVED},
       }) {
    EXPECT_EQ(archiveRunOf(name), run);
    EXPECT_EQ(archiveReasonOf(name), reason) << name;
    EXPECT_EQ(archiveRunTime(name).value_or(removedRunTime(name).value_or(0)), STARTED) << name;
  }
}

// Files of one path, in one run, for different reasons; and of a run that a version before this
// archived, which told none.
TEST(ArchiveRun, listsWhyEachFileIsThere) {
  TempDir mirror, dir;
  Archive archive(dir / "archive", "spoke", STARTED);
  dir.write("archive/spoke/20260131T120000.122Z/file", "before");
  for (auto reason : {ArchiveReason::REPLACED, ArchiveReason::EDITED, ArchiveReason::DELETED,
                      ArchiveReason::DELETED}) {
    mirror.write("file", toString(reason));
    archive.take(mirror.open(), "file", "file", reason);
  }
  auto files = archivedFiles(dir / "archive", "spoke");
  ASSERT_TRUE(files.ok());
  std::vector<std::pair<std::string, ArchiveReason>> listed;
  for (auto& file : *files) listed.emplace_back(file.run, file.reason);
  EXPECT_EQ(listed, (std::vector<std::pair<std::string, ArchiveReason>>{
                        {"20260131T120000.122Z", ArchiveReason::UNKNOWN},
                        {"20260131T120000.123Z~deleted", ArchiveReason::DELETED},
                        {"20260131T120000.123Z~deleted~2", ArchiveReason::DELETED},
                        {"20260131T120000.123Z~edited", ArchiveReason::EDITED},
                        {"20260131T120000.123Z~replaced", ArchiveReason::REPLACED}}));
  EXPECT_EQ(dir.read("archive/spoke/20260131T120000.123Z~edited/file"), "edited");
}

TEST_P(ArchiveTest, failuresChangeNothing) {
  auto archive = this->archive();
  EXPECT_THROW(archive.take(mirror_.open(), "missing", "missing", WHY), kj::Exception);
  EXPECT_THROW(archive.preserve(mirror_.open(), "missing", "missing", WHY), kj::Exception);
  EXPECT_FALSE(archived("missing"));

  mirror_.write("file", "content");
  archived_.write("blocked/spoke", "a file in the way");
  Archive blocked(archived_ / "blocked", "spoke", STARTED);
  EXPECT_THROW(blocked.take(mirror_.open(), "file", "file", WHY), kj::Exception);
  EXPECT_THROW(blocked.preserve(mirror_.open(), "file", "file", WHY), kj::Exception);
  EXPECT_EQ(mirror_.read("file"), "content");
}

TEST_P(ArchiveTest, symlinkInTheArchiveIsNotFollowed) {
  TempDir elsewhere;
  auto archive = this->archive();
  mirror_.write("first", "x");
  archive.take(mirror_.open(), "first", "first", WHY);
  EXPECT_EQ(symlink(elsewhere.path().c_str(), (archived_ / "new/deep/" + RUN + "/d").c_str()), 0);
  mirror_.write("d/file", "content");
  kj::AutoCloseFd dir(open((mirror_ / "d").c_str(), O_RDONLY | O_DIRECTORY));
  archive.take(dir, "file", "d/file", WHY);
  EXPECT_FALSE(elsewhere.exists("file"));
  EXPECT_EQ(archived("d/file", "~2"), "content");
}

TEST_P(ArchiveTest, symlinkInPlaceOfASpokesArchiveIsNotFollowed) {
  TempDir elsewhere;
  mirror_.write("file", "content");
  archived_.write("new/deep/x", "x");
  for (std::string name : {"spoke", "spoke/20260131T120000.123Z"}) {
    auto link = archived_ / ("new/deep/" + name);
    EXPECT_EQ(symlink(elsewhere.path().c_str(), link.c_str()), 0);
    auto archive = this->archive();
    if (name == "spoke") {
      EXPECT_THROW(archive.take(mirror_.open(), "file", "file", WHY), kj::Exception);
      EXPECT_THROW(archive.preserve(mirror_.open(), "file", "file", WHY), kj::Exception);
    } else {
      // This name is in use, so the run gets another.
      archive.preserve(mirror_.open(), "file", "file", WHY);
      EXPECT_EQ(archive.run(), "20260131T120000.124Z");
    }
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
    EXPECT_THROW(archive.preserve(mirror_.open(), name, name, WHY), kj::Exception);
    EXPECT_FALSE(archived_.exists("new/deep/" + RUN + name)) << name;
  }
}

TEST_P(ArchiveTest, rollingBackLeavesNothing) {
  mirror_.write("d/one", "1");
  mirror_.write("d/two", "2");
  auto archive = this->archive();
  kj::AutoCloseFd dir(open((mirror_ / "d").c_str(), O_RDONLY | O_DIRECTORY));
  auto one = archive.preserve(dir, "one", "d/one", WHY);
  auto two = archive.preserve(dir, "two", "d/two", WHY);
  EXPECT_TRUE(one.holds(mirror_.stat("d/one")));
  EXPECT_FALSE(one.holds(mirror_.stat("d/two")));
  archive.discard(one);
  EXPECT_FALSE(archived("d/one"));
  EXPECT_EQ(archived("d/two"), "2");
  archive.discard(two);
  EXPECT_FALSE(archived_.exists("new/deep/" + RUN));
  EXPECT_EQ(mirror_.read("d/one"), "1");
  archive.take(dir, "one", "d/one", WHY);
  EXPECT_EQ(archived("d/one"), "1");
}

TEST_P(ArchiveTest, aFailedCopyLeavesNothing) {
  mirror_.write("file", "old");
  auto archive = this->archive();
  auto dir = mirror_.open();
  EXPECT_ANY_THROW(archive.preserve(dir, "missing", "a/b/missing", WHY));
  EXPECT_ANY_THROW(archive.take(dir, "missing", "a/b/missing", WHY));
  EXPECT_FALSE(archived_.exists("new/deep/" + RUN));
  archive.preserve(dir, "file", "a/file", WHY);
  EXPECT_ANY_THROW(archive.preserve(dir, "missing", "a/b/missing", WHY));
  EXPECT_EQ(archived("a/file"), "old");
  EXPECT_FALSE(archived_.exists("new/deep/" + RUN + "/a/b"));
}

TEST(ArchiveRun, theLastNameHasNoSuccessor) {
  EXPECT_FALSE(archiveRunTime("99991231T235959.999Z"));
  TempDir dir;
  auto last = archiveRunName(INT64_MAX);
  dir.write("archive/spoke/" + last + "/file", "");
  EXPECT_EQ(Archive(dir / "archive", "spoke", 0).run(), last);
}

TEST(ArchiveRun, isNamedByTheLatestClock) {
  constexpr int64_t DAY = 86'400 * SECOND;
  TempDir mirror, archived;
  auto nameOf = [&](int64_t hub, int64_t other) {
    Archive archive(archived.path(), "spoke", hub);
    archive.clockShows(other);
    mirror.write("file", "x");
    archive.take(mirror.open(), "file", "file", WHY);
    return archive.run();
  };
  EXPECT_EQ(nameOf(STARTED - 60 * DAY, STARTED), "20260131T120000.123Z");
  // Not earlier than the newest existing run, even if all clocks are behind.
  EXPECT_EQ(nameOf(STARTED - 60 * DAY, STARTED - 61 * DAY), "20260131T120000.124Z");
  EXPECT_EQ(nameOf(STARTED + DAY, STARTED), "20260201T120000.123Z");
}

class ArchiveExpiry : public testing::Test {
 protected:
  static constexpr int64_t DAY = 86'400 * SECOND;
  ~ArchiveExpiry() noexcept override {}

  void archive(const AgeClocks& clocks) {
    mirror_.write("file", "x");
    Archive archive(dir_ / "archive", "spoke", clocks.wall);
    archive.take(mirror_.open(), "file", "file", WHY);
    noteArchiveRun(ages_, archive.run() + "~replaced", clocks);
  }
  // Returns how many runs are left once runs older than 30 days have expired.
  size_t left(const AgeClocks& clocks) {
    EXPECT_TRUE(expireArchive(dir_ / "archive", "spoke", 30, clocks.wall, ages_, clocks).ok());
    return namesIn(open((dir_ / "archive/spoke").c_str(), O_RDONLY | O_DIRECTORY)).size();
  }

  TempDir mirror_, dir_;
  std::string ages_ = dir_ / "data/archive-ages/spoke";
};

TEST_F(ArchiveExpiry, countsOnlyTimeThatCertainlyPassed) {
  archive({STARTED, 5 * DAY, "boot"});
  EXPECT_EQ(left({STARTED + 29 * DAY, 34 * DAY, "boot"}), 1u);
  EXPECT_EQ(left({STARTED + 31 * DAY, 36 * DAY, "boot"}), 0u);
}

TEST_F(ArchiveExpiry, expiresNothingWhenAClockIsSet) {
  // The clock was behind when the file was archived, and then corrected.
  archive({STARTED - 4000 * DAY, DAY, "boot"});
  EXPECT_EQ(left({STARTED, DAY + SECOND, "boot"}), 1u);
  // The clock was ahead for a while, over several boots.
  EXPECT_EQ(left({STARTED + 4000 * DAY, 0, "second"}), 1u);
  EXPECT_EQ(left({STARTED + 4000 * DAY, DAY, "second"}), 1u);
  EXPECT_EQ(left({STARTED, 0, "third"}), 1u);
  EXPECT_EQ(left({STARTED + SECOND, SECOND, ""}), 1u) << "no uptime to be had";
  // Only days of uptime count, and one for each boot.
  EXPECT_EQ(left({STARTED + 26 * DAY, 26 * DAY, "fourth"}), 1u);
  EXPECT_EQ(left({STARTED + 60 * DAY, 60 * DAY, "fourth"}), 0u);
}

TEST_F(ArchiveExpiry, countsARunFromWhenItIsFirstSeen) {
  // Runs of another version, or from before the counts were lost: their names prove nothing.
  dir_.write("archive/spoke/20200101T000000.000Z/file", "x");
  dir_.write("archive/spoke/20200101T000000.000Z~2/file", "x");
  archive({STARTED, DAY, "boot"});
  dir_.write("data/archive-ages/spoke", "garbage\n\n1 2 3 4 5\n");
  EXPECT_EQ(left({STARTED + 31 * DAY, 32 * DAY, "boot"}), 3u);
  EXPECT_EQ(left({STARTED + 60 * DAY, 61 * DAY, "boot"}), 3u);
  // A run that is newer by its name is counted from that moment, too.
  archive({STARTED + 60 * DAY, 61 * DAY, "boot"});
  EXPECT_EQ(left({STARTED + 62 * DAY, 63 * DAY, "boot"}), 1u) << "RUN~2 goes with RUN";
  EXPECT_EQ(left({STARTED + 89 * DAY, 90 * DAY, "boot"}), 1u);
  EXPECT_EQ(left({STARTED + 91 * DAY, 92 * DAY, "boot"}), 0u);
  // A deleted run is no longer counted: another of the same name is new.
  dir_.write("archive/spoke/20200101T000000.000Z/file", "x");
  EXPECT_EQ(left({STARTED + 200 * DAY, 201 * DAY, "boot"}), 1u);
}

TEST_F(ArchiveExpiry, expiresNothingThatIsKeptForGood) {
  mirror_.write("file", "x");
  Archive gone(dir_ / "archive", "spoke", STARTED, ages_);
  gone.keepForGood();
  gone.take(mirror_.open(), "file", "file", WHY);
  EXPECT_EQ(gone.run(), "removed-20260131T120000.123Z");
  EXPECT_EQ(removedRunTime(gone.run()), STARTED);
  EXPECT_EQ(removedRunTime("20260131T120000.123Z"), std::nullopt);
  EXPECT_EQ(archiveRunTime(gone.run()), std::nullopt);
  // A new spoke of that name, years later.
  archive({STARTED + 4000 * DAY, 0, ""});
  EXPECT_EQ(left({STARTED + 5000 * DAY, 0, ""}), 2u) << "not counted for so long";
  EXPECT_EQ(left({STARTED + 5000 * DAY, DAY, "boot"}), 2u);
  EXPECT_EQ(left({STARTED + 5031 * DAY, 32 * DAY, "boot"}), 1u);
  auto files = archivedFiles(dir_ / "archive", "spoke");
  ASSERT_TRUE(files.ok());
  ASSERT_EQ(files->size(), 1u);
  auto& file = files->front();
  EXPECT_EQ(file.run, gone.run());
  EXPECT_EQ(file.archived, STARTED);
  EXPECT_TRUE(file.forGood);
  EXPECT_TRUE(openArchived(dir_ / "archive", file).ok());
  EXPECT_EQ(archivedBytes(dir_ / "archive", "spoke"), 1u);
}

TEST_P(ArchiveTest, takesAWholeDirectory) {
  mirror_.write("d/e/file", "content");
  mirror_.write("d/other", "more");
  auto archive = this->archive();
  archive.take(mirror_.open(), "d", "d", WHY);
  EXPECT_EQ(archived("d/e/file"), "content");
  EXPECT_EQ(archived("d/other"), "more");
  EXPECT_FALSE(mirror_.exists("d"));
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
