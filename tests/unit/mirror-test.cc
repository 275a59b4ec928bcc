#include "hub/mirror/mirror.h"
#include "common/fs/file-io.h"
#include "common/fs/file-times.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include "hub/base/failure.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

constexpr int64_t MIRRORED_AT = 1769860800 * SECOND;
const std::string MIRROR_RUN = "archive/spoke/20260131T120000.000Z";

class MirrorTest : public testing::Test {
 protected:
  ~MirrorTest() noexcept override {}

  Mirror open(Mirror::Access access = Mirror::Access::WRITE) {
    return Mirror(dir_ / "mirror", access, Archive(dir_ / "archive", "spoke", MIRRORED_AT));
  }
  void publish(const std::string& path, std::string_view content) {
    auto fd = mirror_.openStaged(path, false);
    writeAll(fd, bytesOf(content));
    mirror_.publish(path);
    commit();
  }
  void commit() {
    auto uncommitted = mirror_.commit();
    if (!uncommitted.empty()) Mirror::fail(uncommitted[0]);
  }
  bool archiveFile(const std::string& path) {
    bool there = mirror_.archiveFile(path);
    commit();
    return there;
  }
  std::optional<std::string> mirrored(const std::string& path) {
    return dir_.read("mirror/" + path);
  }
  std::optional<std::string> archived(const std::string& path, const std::string& again = "",
                                      const std::string& why = "replaced") {
    return dir_.read(MIRROR_RUN + "~" + why + again + "/" + path);
  }
  std::string opened(const std::string& path) {
    KJ_IF_MAYBE(file, mirror_.openFile(path)) return std::to_string(file->size);
    return "(none)";
  }

  TempDir dir_;
  Mirror mirror_ = open();
};

TEST_F(MirrorTest, isCreatedAndLocked) {
  auto isLocked = [&]() {
    try {
      open();
    } catch (const Failure& e) {
      return e.id() == FailureId::MIRROR_IN_USE;
    }
    return false;
  };
  EXPECT_EQ(dir_.mode("mirror"), 0700u);
  EXPECT_TRUE(isLocked());
  EXPECT_NO_THROW(open(Mirror::Access::READ));
  {
    Mirror moved = kj::mv(mirror_);
    EXPECT_TRUE(isLocked());
  }
  EXPECT_NO_THROW(open());
}

TEST_F(MirrorTest, aMissingMirrorIsEmptyToReaders) {
  Archive archive(dir_ / "archive", "spoke", MIRRORED_AT);
  Mirror missing(dir_ / "missing", Mirror::Access::READ, kj::mv(archive));
  EXPECT_TRUE(missing.walk().files == 0);
  EXPECT_TRUE(missing.openFile("file") == nullptr);
  EXPECT_TRUE(missing.openPartial("file") == nullptr);
  EXPECT_FALSE(dir_.exists("missing"));
  dir_.write("file", "x");
  for (auto access : {Mirror::Access::READ, Mirror::Access::WRITE}) {
    EXPECT_THROW(Mirror(dir_ / "file", access, Archive(dir_ / "archive", "spoke", MIRRORED_AT)),
                 Failure);
  }
}

TEST_F(MirrorTest, publishedFilesAreWhole) {
  auto fd = mirror_.openStaged("a/b/new", false);
  writeAll(fd, bytesOf("content"));
  EXPECT_FALSE(dir_.exists("mirror/a"));
  EXPECT_TRUE(mirror_.walk().files == 0) << "what is staged is not the mirror's";
  mirror_.publish("a/b/new");
  EXPECT_FALSE(dir_.exists("mirror/a"));
  commit();
  EXPECT_EQ(mirrored("a/b/new"), "content");
  EXPECT_EQ(dir_.mode("mirror/a/b/new"), 0600u);
  EXPECT_EQ(dir_.mode("mirror/a/b"), 0700u);
  EXPECT_EQ(mirror_.walk().files, 1u);
  EXPECT_FALSE(dir_.exists("archive"));
  EXPECT_EQ(opened("a/b/new"), "7");
}

TEST_F(MirrorTest, replacedFileIsArchived) {
  dir_.write("mirror/a/file", "old");
  publish("a/file", "new");
  EXPECT_EQ(mirrored("a/file"), "new");
  EXPECT_EQ(archived("a/file"), "old");
  EXPECT_EQ(dir_.mtime(MIRROR_RUN + "~replaced/a/file"), OLD);
  publish("a/file", "newer");
  EXPECT_EQ(archived("a/file", "~2"), "new");
  EXPECT_EQ(archived("a/file"), "old");

  dir_.write("mirror/empty", "");
  publish("empty", "x");
  EXPECT_FALSE(archived("empty")) << "nothing to keep";
}

TEST_F(MirrorTest, withoutReplacementTheArchiveStaysEmpty) {
  dir_.write("mirror/a/file", "old");
  writeAll(mirror_.openStaged("a/file", false), bytesOf("new"));
  mirror_.publish("a/file");
  mirror_.publish("b");  // nothing is staged for it
  auto uncommitted = mirror_.commit();
  ASSERT_EQ(uncommitted.size(), 1u) << "one file's failure is its own";
  EXPECT_EQ(uncommitted[0].path, "b");
  EXPECT_EQ(mirrored("a/file"), "new");

  dir_.write("mirror/b", "old");
  mirror_.publish("b");
  EXPECT_EQ(mirror_.commit().size(), 1u);
  EXPECT_EQ(mirrored("b"), "old");
  EXPECT_FALSE(archived("b"));
  EXPECT_EQ(archived("a/file"), "old");
}

TEST_F(MirrorTest, anEditSinceTheArchivingIsArchivedToo) {
  dir_.write("mirror/file", "old");
  writeAll(mirror_.openStaged("file", false), bytesOf("new"));
  mirror_.publish("file", false);  // not known to exist, so archived at the last moment
  commit();
  EXPECT_EQ(mirrored("file"), "new");
  EXPECT_EQ(archived("file"), "old");
}

TEST_F(MirrorTest, filesBecomeVisibleBitByBit) {
  constexpr int FILES = 9'000;
  int most = 0;
  for (int i = 0; i < FILES; ++i) {
    auto path = "d/" + std::to_string(i);
    writeAll(mirror_.openStaged(path, false), bytesOf("x"));
    mirror_.publish(path, false);
    EXPECT_TRUE(mirror_.openFile(path) != nullptr) << "staged or not";
    EXPECT_TRUE(mirror_.proceed().empty());
    if (i % 100 == 0) most = std::max(most, i - int(mirror_.walk().files));
  }
  EXPECT_GT(mirror_.walk().files, 5'000u);
  EXPECT_LT(most, 5'000);
  commit();
  EXPECT_EQ(mirror_.walk().files, uint32_t(FILES));
}

TEST_F(MirrorTest, aTimeChangedByOthersIsKept) {
  dir_.write("mirror/file", "one");
  kj::AutoCloseFd fd(::open((dir_ / "mirror/file").c_str(), O_RDWR));
  mirror_.settle("file", fd, OLD + 7);
  EXPECT_EQ(dir_.mtime("mirror/file"), OLD + 6);
  dir_.write("mirror/file", "two", OLD + 9);
  commit();
  EXPECT_EQ(dir_.mtime("mirror/file"), OLD + 9);
}

TEST_F(MirrorTest, theNextRunNoticesAnInterruptedOne) {
  EXPECT_FALSE(mirror_.endedUncleanly());
  dir_.write("mirror/file", "one");
  mirror_.openForAppend("file", 3, OLD);
  {
    auto next = open(Mirror::Access::READ);
    EXPECT_TRUE(next.endedUncleanly());
    EXPECT_FALSE(next.mayBeLost("file"));
  }
  mirror_.finish({});
  EXPECT_FALSE(open(Mirror::Access::READ).endedUncleanly());
}

// Opens a mirror repeatedly, as one run after the other does.
class LostWritesTest : public testing::Test {
 protected:
  ~LostWritesTest() noexcept override {}

  void run() {
    mirror_.reset();
    mirror_.emplace(dir_ / "mirror", Mirror::Access::WRITE,
                    Archive(dir_ / "archive", "spoke", MIRRORED_AT));
  }
  void runAfter(std::string_view mark) {
    dir_.write(MARK, mark);
    run();
  }
  std::optional<std::string> mark() { return dir_.read(MARK); }

  const std::string STAGING = "mirror/.pi-brain-staging", MARK = STAGING + "/lost-writes";
  const std::string TWO{"a/two\0", 6}, BOTH{"a/one\0a/two\0", 12};
  TempDir dir_;
  std::optional<Mirror> mirror_;
};

TEST_F(LostWritesTest, areRememberedUntilFetched) {
  dir_.write("mirror/a/one", "1");
  runAfter(BOTH);
  EXPECT_TRUE(mirror_->mayBeLost("a/one") && mirror_->mayBeLost("a/two"));
  EXPECT_FALSE(mirror_->mayBeLost("a/three"));
  auto before = mirror_->walk(), tree = mirror_->walk();
  mirror_->makeLostUnlike(tree, {});
  EXPECT_NE(tree.directories[0].digest, before.directories[0].digest) << "so it is asked for";

  mirror_->finish({{"a/two", "a/three"}, false});
  EXPECT_EQ(mark(), TWO) << "the other one was fetched";
  run();
  EXPECT_TRUE(mirror_->endedUncleanly());
  EXPECT_FALSE(mirror_->mayBeLost("a/one"));
  mirror_->finish({});
  EXPECT_FALSE(dir_.exists(STAGING));

  runAfter(BOTH);
  mirror_->finish({{}, true});
  run();
  EXPECT_TRUE(mirror_->mayBeLost("a/one")) << "it was not looked for";
}

TEST_F(LostWritesTest, mayBeInAnyFile) {
  for (auto mark : {std::string(), std::string(1, '\0'), std::string("a/tw")}) {
    runAfter(mark);
    EXPECT_TRUE(mirror_->mayBeLost("a/three"));
    mirror_->finish({{"a/two"}, false});
    EXPECT_EQ(dir_.read(MARK), TWO) << "all others were looked at";
  }
}

TEST_F(LostWritesTest, areForgottenOfAFileWrittenAgain) {
  dir_.write("mirror/a/two", "2");
  runAfter(BOTH);
  writeAll(mirror_->openStaged("a/two", false), bytesOf("whole"));
  mirror_->publish("a/two");
  EXPECT_TRUE(mirror_->commit().empty());
  EXPECT_FALSE(mirror_->mayBeLost("a/two"));
  EXPECT_EQ(mark(), std::string("a/one\0", 6)) << "whatever becomes of this run";
}

TEST_F(LostWritesTest, anUncleanEndIsRememberedUntilAllIsChecked) {
  const auto PART = STAGING + "/0123456789abcdef0123456789abcdef.part";
  dir_.write(PART, "half");
  for (auto& left : {Mirror::Left{{"file"}, false}, Mirror::Left{{}, true}}) {
    run();
    EXPECT_TRUE(mirror_->endedUncleanly());
    mirror_->finish(left);
    mirror_->removeStagingIfEmpty();
    EXPECT_FALSE(dir_.exists(PART));
  }
  run();
  EXPECT_TRUE(mirror_->endedUncleanly());
  mirror_->finish({});
  run();
  EXPECT_FALSE(mirror_->endedUncleanly());
}

TEST_F(MirrorTest, aKilledRunsExchangeIsRecovered) {
  dir_.write("mirror/.pi-brain-staging/0123456789abcdef0123456789abcdef.swap", "old");
  dir_.write("mirror/.pi-brain-staging/0123456789abcdef0123456789abcdef.part", "half");
  mirror_.clearStaging();
  EXPECT_EQ(archived("recovered/0123456789abcdef0123456789abcdef", "", "recovered"), "old");
  EXPECT_FALSE(dir_.exists("mirror/.pi-brain-staging"));
}

TEST_F(MirrorTest, anotherProgramsReplacementIsArchived) {
  dir_.write("mirror/.pi-brain-staging/left.part", "x");
  dir_.write("mirror/.pi-brain-staging/lost-writes", "");
  mirror_.handOver();
  EXPECT_FALSE(dir_.exists("mirror/.pi-brain-staging/left.part"));
  EXPECT_TRUE(dir_.exists("mirror/.pi-brain-staging/lost-writes")) << "nothing is mended yet";
  dir_.write("mirror/.pi-brain-staging/replaced/d/file", "old");
  dir_.write("mirror/d/file", "new");
  mirror_.takeBack();
  EXPECT_EQ(archived("d/file"), std::nullopt);
  mirror_.archiveReplaced();
  EXPECT_EQ(archived("d/file"), "old");
  EXPECT_TRUE(dir_.exists("mirror/.pi-brain-staging")) << "the run is not at its end";
  mirror_.finish({});
  EXPECT_FALSE(dir_.exists("mirror/.pi-brain-staging"));
  EXPECT_EQ(mirrored("d/file"), "new");
}

// What somebody changed since the last run is archived as such, whichever program replaces it.
TEST_F(MirrorTest, knowsWhatWasEdited) {
  const std::vector<std::string> paths{"d/edited", "d/rewritten", "d/restored", "e/edited"};
  auto edit = [&](const std::string& path) {
    int64_t last = ctimeOf(dir_.stat("mirror"));
    do {  // The clock of a filesystem's times has ticks.
      dir_.write("mirror/" + path, "edited");
      setMtime(dir_ / ("mirror/" + path), last + SECOND);
    } while (ctimeOf(dir_.stat("mirror/" + path)) <= last);
  };
  for (auto& path : paths) publish(path, "first");
  mirror_.finish({});
  { Mirror closed = kj::mv(mirror_); }
  for (bool byAnother : {false, true}) {
    edit("d/edited");
    edit("e/edited");
    edit("d/restored");
    setMtime(dir_ / "mirror/d/restored", OLD);
    auto mirror = open();
    mirror.noteEdits(mirror.walk());
    if (byAnother) mirror.handOver();
    for (auto& path : paths) {
      if (byAnother) {
        auto to = std::filesystem::path(dir_ / ("mirror/.pi-brain-staging/replaced/" + path));
        std::filesystem::create_directories(to.parent_path());
        std::filesystem::rename(dir_ / ("mirror/" + path), to);
        dir_.write("mirror/" + path, "second");
      } else {
        writeAll(mirror.openStaged(path, false), bytesOf("second"));
        mirror.publish(path);
      }
    }
    if (byAnother) mirror.archiveReplaced();
    mirror.finish({});
    std::string run = byAnother ? "archive/spoke/20260131T120000.001Z~" : MIRROR_RUN + "~";
    EXPECT_EQ(dir_.read(run + "edited/d/edited"), "edited") << byAnother;
    EXPECT_EQ(dir_.read(run + "edited/e/edited"), "edited") << byAnother;
    EXPECT_FALSE(dir_.exists(run + "edited/d/rewritten"));
    EXPECT_EQ(dir_.read(run + "replaced/d/rewritten"), byAnother ? "second" : "first");
    EXPECT_EQ(dir_.read(run + "replaced/d/restored"), "edited") << "it is as old as the others";
    EXPECT_FALSE(dir_.exists(run + "replaced/e")) << "nor an empty directory";
  }
}

TEST_F(MirrorTest, anotherProgramsFileLeftByAKilledRunIsArchived) {
  for (std::string again : {"", "~2"}) {
    mirror_.handOver();
    dir_.write("mirror/.pi-brain-staging/replaced/d/file", "old" + again);
    dir_.write("mirror/.pi-brain-staging/.file.abcdef", "half");
    if (again.empty()) {
      mirror_.handOver();
      EXPECT_TRUE(dir_.exists("mirror/.pi-brain-staging"));
    } else {
      mirror_.clearStaging();
      EXPECT_FALSE(dir_.exists("mirror/.pi-brain-staging"));
    }
    EXPECT_EQ(archived("d/file", again), "old" + again);
  }
}

TEST_F(MirrorTest, openFileOpensRegularFilesOnly) {
  dir_.write("mirror/d/file", "12345");
  dir_.write("secret", "x");
  EXPECT_EQ(symlink("../secret", (dir_ / "mirror/link").c_str()), 0);
  EXPECT_EQ(symlink("..", (dir_ / "mirror/up").c_str()), 0);
  mkfifo((dir_ / "mirror/fifo").c_str(), 0600);
  EXPECT_EQ(opened("d/file"), "5");
  for (auto path : {"d", "link", "up/secret", "fifo", "missing", "../secret", ""}) {
    EXPECT_EQ(opened(path), "(none)") << path;
  }
}

TEST_F(MirrorTest, appendsInPlace) {
  dir_.write("mirror/a/file", "12345");
  auto inode = dir_.stat("mirror/a/file").st_ino;
  auto fd = mirror_.openForAppend("a/file", 5, OLD);
  writeAllAt(fd, bytesOf("67"), 5);
  EXPECT_EQ(mirrored("a/file"), "1234567");
  EXPECT_EQ(dir_.stat("mirror/a/file").st_ino, inode);
}

TEST_F(MirrorTest, appendRequiresTheKnownFile) {
  dir_.write("mirror/file", "12345");
  EXPECT_EQ(symlink("file", (dir_ / "mirror/link").c_str()), 0);
  mkfifo((dir_ / "mirror/fifo").c_str(), 0600);
  EXPECT_THROW(mirror_.openForAppend("file", 4, OLD), kj::Exception);
  EXPECT_THROW(mirror_.openForAppend("file", 5, OLD + 1), kj::Exception);
  EXPECT_THROW(mirror_.openForAppend("link", 5, OLD), kj::Exception);
  EXPECT_THROW(mirror_.openForAppend("fifo", 0, OLD), kj::Exception);
  EXPECT_THROW(mirror_.openForAppend("missing", 5, OLD), kj::Exception);
  EXPECT_NO_THROW(mirror_.openForAppend("file", 5, OLD));
}

TEST_F(MirrorTest, appendBreaksHardLinks) {
  auto content = noise(300'000, 1);
  for (int64_t time : {OLD, -SECOND / 2}) {
    dir_.write("mirror/file", content, time);
    EXPECT_EQ(link((dir_ / "mirror/file").c_str(), (dir_ / "backup").c_str()), 0);
    auto fd = mirror_.openForAppend("file", content.size(), time);
    writeAllAt(fd, bytesOf("more"), content.size());
    EXPECT_TRUE(mirrored("file") == content + "more");
    EXPECT_TRUE(dir_.read("backup") == content);
    EXPECT_EQ(dir_.stat("mirror/file").st_nlink, 1u);
    EXPECT_EQ(dir_.mtime("backup"), time);
    unlink((dir_ / "backup").c_str());
  }
}

TEST_F(MirrorTest, moves) {
  dir_.write("mirror/old/deep/file", "content");
  mirror_.move("old/deep/file", "new/place/name");
  EXPECT_EQ(mirrored("new/place/name"), "content");
  EXPECT_EQ(dir_.mtime("mirror/new/place/name"), OLD);
  EXPECT_FALSE(dir_.exists("mirror/old")) << "nothing is in it any more";

  dir_.write("mirror/a", "a");
  EXPECT_THROW(mirror_.move("a", "new/place/name"), kj::Exception);
  EXPECT_EQ(mirrored("a"), "a");
  EXPECT_EQ(mirrored("new/place/name"), "content");
  EXPECT_THROW(mirror_.move("missing", "b"), kj::Exception);
  // A directory that was used before can be made again.
  mirror_.move("a", "old/deep/again");
  EXPECT_EQ(mirrored("old/deep/again"), "a");
}

TEST_F(MirrorTest, archiveFileRemovesEmptiedDirectories) {
  dir_.write("mirror/a/b/c/file", "1");
  dir_.write("mirror/a/other", "2");
  archiveFile("a/b/c/file");
  EXPECT_EQ(archived("a/b/c/file", "", "deleted"), "1");
  EXPECT_FALSE(dir_.exists("mirror/a/b"));
  EXPECT_EQ(mirrored("a/other"), "2");
  archiveFile("a/other");
  EXPECT_FALSE(dir_.exists("mirror/a"));
  EXPECT_TRUE(dir_.exists("mirror"));
  publish("a/b/c/file", "again");
  EXPECT_EQ(mirrored("a/b/c/file"), "again");
}

TEST_F(MirrorTest, aDirectoryDoesNotReplaceAFile) {
  dir_.write("mirror/top", "a file");
  EXPECT_THROW(publish("top/below", "new"), kj::Exception);
  EXPECT_EQ(mirrored("top"), "a file");

  // The same further down, where the parent's descriptor is cached.
  dir_.write("mirror/x/y/file", "a file");
  publish("x/y/other", "other");
  EXPECT_THROW(publish("x/y/file/below", "new"), kj::Exception);
  EXPECT_EQ(mirrored("x/y/file"), "a file");
  publish("x/y/more", "more");
  EXPECT_EQ(mirrored("x/y/more"), "more");

  // Once a deletion removed it, the name is free.
  EXPECT_TRUE(archiveFile("x/y/file"));
  publish("x/y/file/below", "new");
  EXPECT_EQ(mirrored("x/y/file/below"), "new");
  EXPECT_EQ(archived("x/y/file", "", "deleted"), "a file");
}

TEST_F(MirrorTest, aFileReplacesOnlyAnEmptyDirectory) {
  dir_.write("mirror/x/y/file", "below");
  publish("x/y/other", "other");
  EXPECT_THROW(publish("x/y", "new"), kj::Exception);
  EXPECT_EQ(mirrored("x/y/file"), "below");
  EXPECT_EQ(mirrored("x/y/other"), "other");
  dir_.write("mirror/moved", "moved");
  EXPECT_THROW(mirror_.move("moved", "x/y"), kj::Exception);
  EXPECT_EQ(mirrored("moved"), "moved");

  EXPECT_EQ(mkdir((dir_ / "mirror/x/empty").c_str(), 0700), 0);
  publish("x/empty", "new");
  EXPECT_EQ(mirrored("x/empty"), "new");
}

TEST_F(MirrorTest, archiveFileLeavesWhatReplacedTheFile) {
  // A file became a directory; archiveFile() may throw or not.
  dir_.write("mirror/one/below", "new");
  auto error = kj::runCatchingExceptions([&]() { archiveFile("one"); });
  EXPECT_EQ(mirrored("one/below"), "new");
  // And a directory became a file.
  dir_.write("mirror/two", "new");
  error = kj::runCatchingExceptions([&]() { archiveFile("two/below"); });
  EXPECT_EQ(mirrored("two"), "new");
}

TEST_F(MirrorTest, symlinksAreRefused) {
  dir_.write("outside/file", "secret");
  EXPECT_EQ(symlink("../outside", (dir_ / "mirror/dir").c_str()), 0);
  EXPECT_EQ(symlink("../outside/file", (dir_ / "mirror/link").c_str()), 0);
  dir_.write("mirror/file", "x");
  EXPECT_THROW(publish("dir/file", "new"), kj::Exception);
  EXPECT_THROW(publish("dir/sub/file", "new"), kj::Exception);
  EXPECT_THROW(publish("link", "new"), kj::Exception);
  EXPECT_THROW(mirror_.openForAppend("dir/file", 6, OLD), kj::Exception);
  EXPECT_THROW(mirror_.move("file", "dir/new"), kj::Exception);
  EXPECT_THROW(mirror_.move("dir/file", "new"), kj::Exception);
  EXPECT_FALSE(archiveFile("dir/file"));
  EXPECT_EQ(dir_.read("outside/file"), "secret");
  EXPECT_FALSE(dir_.exists("outside/new"));
  EXPECT_FALSE(dir_.exists("outside/sub"));
  EXPECT_EQ(mirrored("file"), "x");
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { publish("dir/file", "new"); })) {
    EXPECT_NE(std::string(e->getDescription().cStr()).find("symlink in the mirror at 'dir'"),
              std::string::npos)
        << e->getDescription().cStr();
  }
}

TEST_F(MirrorTest, partialFiles) {
  EXPECT_TRUE(mirror_.openPartial("a/file") == nullptr);
  writeAll(mirror_.openStaged("a/file", false), bytesOf("12345"));
  auto partial = mirror_.openPartial("a/file");
  EXPECT_EQ(KJ_ASSERT_NONNULL(partial).size, 5u);
  EXPECT_TRUE(mirror_.openPartial("a/other") == nullptr);
  writeAllAt(mirror_.openStaged("a/file", true), bytesOf("67"), 5);
  EXPECT_EQ(KJ_ASSERT_NONNULL(mirror_.openPartial("a/file")).size, 7u);
  for (auto& entry :
       std::filesystem::directory_iterator(dir_ / ("mirror/" + std::string(Mirror::STAGING)))) {
    EXPECT_FALSE(entry.path().string().ends_with(".jsonl"));
  }
  mirror_.publish("a/file");
  commit();
  EXPECT_EQ(mirrored("a/file"), "1234567");

  mirror_.openStaged("b", false);
  mirror_.discardStaged("b");
  EXPECT_TRUE(mirror_.openPartial("b") == nullptr);
  mirror_.openStaged("c", false);
  writeAll(mirror_.openStaged("c", false), bytesOf("x"));
  mirror_.clearStaging();
  EXPECT_TRUE(mirror_.openPartial("c") == nullptr);
  EXPECT_FALSE(dir_.exists("mirror/" + std::string(Mirror::STAGING)));
  publish("d", "after it was cleared");
  EXPECT_EQ(mirrored("d"), "after it was cleared");
  mirror_.finish({});
}

TEST_F(MirrorTest, manyDirectoriesAreNotAllHeldOpen) {
  for (int i = 0; i < 300; ++i) publish("d" + std::to_string(i) + "/e/f", std::to_string(i));
  for (int i = 0; i < 300; i += 7) {
    mirror_.move("d" + std::to_string(i) + "/e/f", "moved/" + std::to_string(i) + "/f");
  }
  EXPECT_EQ(mirrored("moved/7/f"), "7");
  EXPECT_EQ(mirror_.walk().files, 300u);
  auto fds = std::filesystem::directory_iterator("/proc/self/fd");
  EXPECT_LT(std::distance(begin(fds), end(fds)), 400);
}

TEST_F(MirrorTest, existingStagedFilesAreNotWrittenTo) {
  dir_.write("outside", "content");
  auto before = dir_.stat("outside");
  auto fd = mirror_.openStaged("file", false);
  auto entry = *std::filesystem::directory_iterator(dir_ / "mirror/.pi-brain-staging");
  auto staged = "mirror/.pi-brain-staging/" + entry.path().filename().string();
  auto put = [&](auto make) {
    unlink((dir_ / staged).c_str());
    EXPECT_EQ(make((dir_ / staged).c_str()), 0);
  };
  auto hardLink = [&](const char* at) { return link((dir_ / "outside").c_str(), at); };
  auto softLink = [&](const char* at) { return symlink((dir_ / "outside").c_str(), at); };
  auto fifo = [](const char* at) { return mkfifo(at, 0600); };

  put(hardLink);
  EXPECT_THROW(mirror_.openStaged("file", true), kj::Exception);
  publish("file", "1");
  put(softLink);
  EXPECT_THROW(mirror_.openStaged("file", true), kj::Exception);
  publish("file", "22");
  put(fifo);
  EXPECT_THROW(mirror_.openStaged("file", true), kj::Exception);
  publish("file", "333");
  EXPECT_EQ(mirrored("file"), "333");
  EXPECT_EQ(dir_.read("outside"), "content");
  EXPECT_EQ(dir_.mtime("outside"), mtimeOf(before));

  for (auto path : {"file", "another"}) {
    mirror_.openStaged(path, false);
    for (auto& left : std::filesystem::directory_iterator(dir_ / "mirror/.pi-brain-staging")) {
      staged = "mirror/.pi-brain-staging/" + left.path().filename().string();
    }
    put(softLink);
    mirror_.publish(path);
    EXPECT_THROW(commit(), kj::Exception);
    EXPECT_FALSE(dir_.exists("mirror/" + std::string(path))) << "a symlink was published";
  }
}

}  // namespace
}  // namespace pibrain
