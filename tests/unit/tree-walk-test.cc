#include "common/tree/tree-walk.h"

#include <gtest/gtest.h>
#include <kj/debug.h>
#include <sys/fsuid.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <set>
#include <thread>

#include "common/wire/protocol.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

Tree walk(const TempDir& dir, const WalkOptions& options = {}) {
  return walkTree(dir.open(), options);
}

std::vector<std::string> pathsOf(const Tree& tree) {
  std::vector<std::string> paths;
  for (auto& directory : tree.directories) {
    for (auto& file : directory.files) paths.push_back(directory.pathOf(file));
  }
  return paths;
}

std::string littleEndian(uint64_t value) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += char(value >> 8 * i);
  return out;
}

TEST(TreeWalk, findsFilesSortedByNameAsBytes) {
  TempDir dir;
  std::vector<std::string> names;
  for (int i = 0; i < 60; ++i) names.push_back("f" + std::to_string(i * 7919 % 1000));
  for (auto name : {"B", "a", "\xff", "\xc3\xbc", "\n"}) names.push_back(name);
  for (auto& name : names) dir.write("sub/" + name, name, OLD + int64_t(name.size()));
  dir.write("top", "12345");

  auto tree = walk(dir);
  ASSERT_EQ(tree.directories.size(), 2u);
  EXPECT_EQ(tree.directories[0].path, "");
  EXPECT_EQ(tree.directories[1].path, "sub");
  std::sort(names.begin(), names.end());
  std::vector<std::string> expected{"top"};
  for (auto& name : names) expected.push_back("sub/" + name);
  EXPECT_EQ(pathsOf(tree), expected);
  uint64_t bytes = 5;
  for (auto& file : tree.directories[1].files) {
    EXPECT_EQ(file.size, tree.directories[1].name(file).size());
    EXPECT_EQ(file.mtime, OLD + int64_t(file.size));
    bytes += file.size;
  }
  EXPECT_EQ(tree.bytes, bytes);
  EXPECT_TRUE(tree.problems.empty());
}

TEST(TreeWalk, theDigestIsAsDocumented) {
  TempDir dir;
  dir.write("a/b/two", "22", OLD);
  dir.write("a/b/one", "1", -5);
  dir.write("c", "", 0);
  auto tree = walk(dir);
  auto nul = std::string(1, '\0');
  auto inner = "a/b" + nul + "one" + nul + littleEndian(1) + littleEndian(uint64_t(-5)) + "two" +
               nul + littleEndian(2) + littleEndian(uint64_t(OLD));
  auto outer = nul + "c" + nul + littleEndian(0) + littleEndian(0);
  std::multiset<uint64_t> expected{XXH3_64bits(inner.data(), inner.size()),
                                   XXH3_64bits(outer.data(), outer.size())};
  std::multiset<uint64_t> found;
  for (auto& directory : tree.directories) found.insert(directory.digest);
  EXPECT_EQ(found, expected);

  std::string sorted;
  for (uint64_t digest : expected) sorted += littleEndian(digest);
  EXPECT_EQ(treeDigest(tree), digestOf(bytesOf(sorted)));
  EXPECT_EQ(treeDigest(Tree()), digestOf(nullptr));
}

TEST(TreeWalk, theDigestDependsOnEverythingThatMatters) {
  auto digestAfter = [](const std::function<void(TempDir&)>& change) {
    TempDir dir;
    dir.write("a/x", "12");
    dir.write("a/y", "345");
    dir.write("z", "6");
    change(dir);
    return treeDigest(walk(dir));
  };
  auto same = digestAfter([](TempDir&) {});
  EXPECT_EQ(digestAfter([](TempDir& dir) { dir.write("a/x", "21"); }), same) << "no content";
  EXPECT_EQ(
      digestAfter([](TempDir& dir) { std::filesystem::create_directories(dir / "empty/deep"); }),
      same);
  EXPECT_EQ(digestAfter([](TempDir& dir) { EXPECT_EQ(symlink("x", (dir / "a/link").c_str()), 0); }),
            same);
  EXPECT_EQ(digestAfter([](TempDir& dir) {
              // In another order.
              std::filesystem::remove_all(dir / "a");
              dir.write("a/y", "345");
              dir.write("a/x", "12");
            }),
            same);

  EXPECT_NE(digestAfter([](TempDir& dir) { dir.write("a/x", "123"); }), same) << "size";
  EXPECT_NE(digestAfter([](TempDir& dir) { dir.write("a/x", "12", OLD + 1); }), same) << "mtime";
  EXPECT_NE(digestAfter([](TempDir& dir) { dir.write("a/new", ""); }), same);
  EXPECT_NE(digestAfter([](TempDir& dir) { unlink((dir / "z").c_str()); }), same);
  EXPECT_NE(digestAfter([](TempDir& dir) { rename((dir / "a/x").c_str(), (dir / "a/w").c_str()); }),
            same)
      << "name";
  EXPECT_NE(digestAfter([](TempDir& dir) { rename((dir / "a").c_str(), (dir / "b").c_str()); }),
            same)
      << "path";
  EXPECT_NE(digestAfter([](TempDir& dir) {
              // The same files, in another directory.
              dir.write("b/x", "12");
              unlink((dir / "a/x").c_str());
            }),
            same);
}

TEST(TreeWalk, orderOfCreationDoesNotMatter) {
  // tmpfs lists names in the order of their creation.
  struct stat st;
  std::string parent =
      stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  TempDir up(parent), down(parent);
  for (int i = 0; i < 40; ++i) up.write("d/" + std::to_string(i), "x");
  for (int i = 39; i >= 0; --i) down.write("d/" + std::to_string(i), "x");
  EXPECT_EQ(treeDigest(walk(up)), treeDigest(walk(down)));
  EXPECT_EQ(pathsOf(walk(up)), pathsOf(walk(down)));
}

TEST(TreeWalk, countsSkippedEntries) {
  TempDir dir;
  dir.write("a/file", "x");
  EXPECT_EQ(symlink("file", (dir / "a/link").c_str()), 0);
  EXPECT_EQ(symlink("/nowhere", (dir / "dangling").c_str()), 0);
  EXPECT_EQ(symlink("a", (dir / "dirlink").c_str()), 0);
  ASSERT_EQ(mkfifo((dir / "a/fifo").c_str(), 0600), 0);
  auto tree = walk(dir);
  EXPECT_EQ(pathsOf(tree), std::vector<std::string>{"a/file"});
  EXPECT_EQ(tree.symlinksSkipped, 3u);
  EXPECT_EQ(tree.specialsSkipped, 1u);
  EXPECT_TRUE(tree.problems.empty());
}

// Reads files as a user other than root, in this thread.
class AsNobody {
 public:
  AsNobody() : before_(setfsuid(65534)) {}
  ~AsNobody() { setfsuid(uid_t(before_)); }

 private:
  int before_;
};

TEST(TreeWalk, unreadableEntriesAreProblems) {
  TempDir dir;
  dir.write("readable/file", "x");
  dir.write("locked/file", "x");
  dir.write("listable/file", "x");
  chmod(dir.path().c_str(), 0755);
  chmod((dir / "readable").c_str(), 0755);
  chmod((dir / "locked").c_str(), 0);
  chmod((dir / "listable").c_str(), 0444);
  Tree tree;
  {
    AsNobody nobody;
    tree = walk(dir);
  }
  chmod((dir / "locked").c_str(), 0700);
  chmod((dir / "listable").c_str(), 0700);
  EXPECT_EQ(pathsOf(tree), std::vector<std::string>{"readable/file"});
  std::set<std::string> problems;
  for (auto& problem : tree.problems) {
    problems.insert(problem.path);
    EXPECT_EQ(problem.reason, proto::Reason::DENIED) << problem.path;
  }
  EXPECT_EQ(problems, (std::set<std::string>{"locked", "listable/file"}));
}

TEST(TreeWalk, tooDeepIsAProblem) {
  TempDir dir;
  auto at = dir.open();
  std::string path;
  for (size_t depth = 1; depth <= MAX_DEPTH; ++depth) {
    ASSERT_EQ(mkdirat(at, "d", 0700), 0);
    at = kj::AutoCloseFd(openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    path += depth == 1 ? "d" : "/d";
    kj::AutoCloseFd(openat(at, "f", O_WRONLY | O_CREAT, 0600));
  }
  auto tree = walk(dir);
  // A file's path has at most MAX_DEPTH components, as isSafePath() requires.
  EXPECT_EQ(tree.files, MAX_DEPTH - 1);
  ASSERT_EQ(tree.problems.size(), 1u);
  EXPECT_EQ(tree.problems[0].path, path);
  EXPECT_EQ(tree.problems[0].reason, proto::Reason::TOO_DEEP);
}

TEST(TreeWalk, anUnreadableRootThrows) {
  EXPECT_THROW(walkTree(-1), kj::Exception);
  EXPECT_THROW(walkTree(fileWith("not a directory")), kj::Exception);
}

TEST(TreeWalk, skipsOneNameAtTheTopOnly) {
  TempDir dir;
  dir.write("skipped/file", "x");
  dir.write("a/skipped/file", "x");
  dir.write("b/skipped", "x");
  WalkOptions options;
  options.skip = "skipped";
  auto paths = pathsOf(walk(dir, options));
  EXPECT_EQ(std::set<std::string>(paths.begin(), paths.end()),
            (std::set<std::string>{"a/skipped/file", "b/skipped"}));
  EXPECT_EQ(walk(dir).files, 3u);
}

TEST(TreeWalk, dropFilesUpdatesTheDigest) {
  TempDir all, some;
  for (auto name : {"a/1", "a/2", "a/3", "b/only"}) {
    all.write(name, name);
    if (std::string("a/2") != name) some.write(name, name);
  }
  auto tree = walk(all), expected = walk(some);
  for (auto& directory : tree.directories) {
    dropFiles(directory, [](const std::string& path) { return path == "a/2"; });
  }
  EXPECT_EQ(pathsOf(tree), pathsOf(expected));
  EXPECT_EQ(treeDigest(tree), treeDigest(expected));
}

TEST(TreeWalk, findsFilesByTheirIds) {
  TempDir dir;
  for (auto name : {"top", "a/1", "a/2", "a/3", "b/only"}) dir.write(name, name);
  auto tree = walk(dir);
  ASSERT_EQ(tree.files, 5u);
  auto paths = pathsOf(tree);
  for (uint32_t id = 0; id < tree.files; ++id) {
    auto found = KJ_ASSERT_NONNULL(tree.find(id));
    EXPECT_EQ(found.directory.pathOf(found.file), paths[id]);
  }
  EXPECT_TRUE(tree.find(5) == nullptr);
  EXPECT_TRUE(tree.find(UINT32_MAX) == nullptr);
  EXPECT_TRUE(Tree().find(0) == nullptr);
}

// Replaces a file by another of the same name, again and again, for its lifetime.
class SavedByRename {
 public:
  SavedByRename(const TempDir& dir, std::string name)
      : thread_([this, path = dir / name, beside = dir / "beside"]() {
          while (!stop_) {
            kj::AutoCloseFd(open(beside.c_str(), O_WRONLY | O_CREAT, 0600));
            rename(beside.c_str(), path.c_str());
          }
        }) {}
  ~SavedByRename() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST(TreeWalk, directoriesThatKeepChangingAreUnsettled) {
  TempDir dir;
  for (int i = 0; i < 2000; ++i) dir.write("hot/" + std::to_string(i), "x");
  dir.write("cold/file", "x");
  {
    SavedByRename saved(dir, "hot/1000");
    // Not every time, since the thread may pause.
    auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    bool unsettled = false;
    while (!unsettled && std::chrono::steady_clock::now() < end)
      unsettled = walk(dir).stamps.unsettled;
    EXPECT_TRUE(unsettled);
  }
  unlink((dir / "beside").c_str());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  auto tree = walk(dir);
  EXPECT_FALSE(tree.stamps.unsettled);
  EXPECT_EQ(tree.files, 2001u);
}

TEST(TreeWalk, agreesUnlessADirectoryChanged) {
  auto pause = []() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  TempDir dir;
  dir.write("a/file", "x");
  dir.write("b/file", "x");
  mkdir((dir / "empty").c_str(), 0700);
  mkdir((dir / "other").c_str(), 0700);
  pause();
  EXPECT_FALSE(walk(dir).stamps.unsettled);
  // A change within the clock's current tick, or a little later, may hide another one.
  auto changedAt = [&](std::chrono::system_clock::time_point when) {
    auto nanos = std::chrono::nanoseconds(when.time_since_epoch()).count();
    struct timespec time = {nanos / 1'000'000'000, nanos % 1'000'000'000};
    struct timespec times[] = {time, time};
    ASSERT_EQ(utimensat(AT_FDCWD, (dir / "a").c_str(), times, 0), 0);
    pause();
  };
  auto now = std::chrono::system_clock::now();
  changedAt(now + std::chrono::milliseconds(900));
  EXPECT_TRUE(walk(dir).stamps.unsettled);
  changedAt(now - std::chrono::minutes(1));
  EXPECT_FALSE(walk(dir).stamps.unsettled);
  auto changes = [&](std::function<void()> change) {
    auto before = walk(dir).stamps;
    change();
    bool changed = !agree(before, walk(dir).stamps);
    pause();
    return changed;
  };
  EXPECT_FALSE(changes([]() {}));
  EXPECT_FALSE(changes([&]() { dir.write("a/file", "longer"); })) << "sessions grow";
  EXPECT_TRUE(changes([&]() { dir.write("a/new", "x"); }));
  EXPECT_TRUE(changes([&]() { unlink((dir / "a/new").c_str()); }));
  EXPECT_TRUE(changes([&]() { rename((dir / "a/file").c_str(), (dir / "empty/file").c_str()); }));
  EXPECT_TRUE(changes([&]() { rename((dir / "other").c_str(), (dir / "another").c_str()); }));
  EXPECT_TRUE(changes([&]() {
    // Away and back again: only the times show it.
    rename((dir / "b/file").c_str(), (dir / "a/moved").c_str());
    rename((dir / "a/moved").c_str(), (dir / "b/file").c_str());
  }));
}

// Many directories, wide and deep, are read by several threads.
TEST(TreeWalk, manyDirectories) {
  TempDir dir;
  std::vector<std::string> expected;
  for (int i = 0; i < 300; ++i) {
    auto name = std::to_string(i % 20) + "/" + std::to_string(i % 60) + "/" + std::to_string(i);
    for (auto file : {"/x", "/y"}) {
      dir.write(name + file, name);
      expected.push_back(name + file);
    }
  }
  auto tree = walk(dir);
  std::multiset<std::string> found;
  for (auto& path : pathsOf(tree)) found.insert(path);
  EXPECT_EQ(found, std::multiset<std::string>(expected.begin(), expected.end()));
  EXPECT_EQ(tree.files, 600u);
  EXPECT_EQ(tree.directories.size(), 300u);
  EXPECT_TRUE(std::is_sorted(tree.directories.begin(), tree.directories.end(),
                             [](auto& a, auto& b) { return a.path < b.path; }));
  EXPECT_EQ(treeDigest(tree), treeDigest(walk(dir)));
}

}  // namespace
}  // namespace pibrain
