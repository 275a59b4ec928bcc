#include "common/fs/rooted-dir.h"
#include "common/fs/file-io.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <limits.h>

#include "common/wire/protocol.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

std::string deepPath(size_t components) {
  std::string path = "d";
  for (size_t i = 1; i < components; ++i) path += "/d";
  return path;
}

TEST(RootedDir, safeNames) {
  for (std::string name :
       {"a", "a b", ".hidden", "...", "..a", "a..", "-rf", "~", "\\", "\n", "\xff\xfe", "日本"}) {
    EXPECT_TRUE(isSafeName(name)) << name;
  }
  EXPECT_TRUE(isSafeName(std::string(MAX_NAME, 'x')));
  for (std::string name : {"", ".", "..", "/", "a/", "/a", "a/b", "../a"}) {
    EXPECT_FALSE(isSafeName(name)) << name;
  }
  EXPECT_FALSE(isSafeName(std::string(MAX_NAME + 1, 'x')));
  EXPECT_FALSE(isSafeName(std::string_view("a\0b", 3)));
  EXPECT_FALSE(isSafeName(std::string_view("\0", 1)));
}

TEST(RootedDir, safePaths) {
  for (std::string path : {"a", "a/b", "a/.b/c", "a b/c", "..a/b"}) {
    EXPECT_TRUE(isSafePath(path)) << path;
  }
  for (std::string path :
       {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "../a", "a/..", "a/../b", "a/./b"}) {
    EXPECT_FALSE(isSafePath(path)) << path;
  }
  EXPECT_FALSE(isSafePath(std::string_view("a/b\0c", 5)));
  EXPECT_FALSE(isSafePath("a/" + std::string(MAX_NAME + 1, 'x') + "/b"));
  EXPECT_TRUE(isSafePath(deepPath(MAX_DEPTH)));
  EXPECT_FALSE(isSafePath(deepPath(MAX_DEPTH + 1)));
}

TEST(RootedDir, partsOfAPath) {
  struct Case {
    const char *path, *parent, *base;
  };
  for (auto [path, parent, base] :
       {Case{"a", "", "a"}, {"a/b", "a", "b"}, {"a/b/c", "a/b", "c"}, {"", "", ""}}) {
    EXPECT_EQ(parentOf(path), parent);
    EXPECT_EQ(baseNameOf(path), base);
    EXPECT_EQ(joinPath(parent, base), path);
  }
  EXPECT_EQ(joinPath("a", ""), "a");
}

class RootedDirOpen : public testing::Test {
 protected:
  RootedDirOpen() : root_(kj::AutoCloseFd(open((dir_ / "root").c_str(), O_RDONLY | O_DIRECTORY))) {}
  ~RootedDirOpen() noexcept override {}

  // Returns the content of the file, or the error.
  std::string opened(std::string_view path, int flags = O_RDONLY) {
    auto result = root_.open(path, flags);
    if (result.error != 0) return strerrorname(result.error);
    auto buffer = kj::heapArray<kj::byte>(100);
    return textOf(buffer.slice(0, readAt(result.fd, buffer, 0)));
  }

  static std::string strerrorname(int error) {
    switch (error) {
      case ELOOP:
        return "(symlink)";
      case ENOTDIR:
        return "(symlink)";
      case EXDEV:
        return "(outside)";
      case ENOENT:
        return "(missing)";
      default:
        return "(error " + std::to_string(error) + ")";
    }
  }

  TempDir dir_;
  bool made_ = [this]() {
    dir_.write("secret", "secret");
    dir_.write("outside/file", "secret");
    dir_.write("root/file", "file");
    dir_.write("root/a/b/file", "deep");
    EXPECT_EQ(symlink("../secret", (dir_ / "root/up").c_str()), 0);
    EXPECT_EQ(symlink((dir_ / "secret").c_str(), (dir_ / "root/absolute").c_str()), 0);
    EXPECT_EQ(symlink("../outside", (dir_ / "root/updir").c_str()), 0);
    EXPECT_EQ(symlink("file", (dir_ / "root/inside").c_str()), 0);
    EXPECT_EQ(symlink("a", (dir_ / "root/insidedir").c_str()), 0);
    EXPECT_EQ(symlink("/proc/self/root", (dir_ / "root/magic").c_str()), 0);
    return true;
  }();
  RootedDir root_;
};

TEST_F(RootedDirOpen, opensFilesBeneath) {
  EXPECT_EQ(opened("file"), "file");
  EXPECT_EQ(opened("a/b/file"), "deep");
  EXPECT_EQ(root_.open("", O_RDONLY | O_DIRECTORY).error, 0);
  EXPECT_EQ(root_.open("a/b", O_RDONLY | O_DIRECTORY).error, 0);
  EXPECT_EQ(opened("b"), "(missing)");
}

TEST_F(RootedDirOpen, leadsNowhereElse) {
  for (auto path : {"up", "absolute", "inside", "updir/file", "insidedir/b/file", "magic",
                    "magic/etc/passwd"}) {
    EXPECT_EQ(opened(path), "(symlink)") << path;
  }
  for (std::string path :
       {"..", "../secret", "a/../../secret", "a/b/../../../secret", "/etc/passwd"}) {
    EXPECT_EQ(opened(path), "(outside)") << path;
  }
  EXPECT_EQ(opened(dir_ / "root/file"), "(outside)");
  EXPECT_EQ(root_.open("updir/new", O_WRONLY | O_CREAT, 0600).error, ELOOP);
  EXPECT_FALSE(dir_.exists("outside/new"));
}

TEST_F(RootedDirOpen, refusesDotDotEvenInside) { EXPECT_EQ(opened("a/../file"), "(outside)"); }

TEST_F(RootedDirOpen, createsWithTheMode) {
  auto created = root_.open("a/new", O_WRONLY | O_CREAT | O_EXCL, 0640);
  ASSERT_EQ(created.error, 0);
  EXPECT_EQ(dir_.mode("root/a/new"), 0600u) << "the umask of the tests is 0077";
  EXPECT_EQ(root_.open("a/new", O_WRONLY | O_CREAT | O_EXCL, 0640).error, EEXIST);
}

TEST_F(RootedDirOpen, fifoDoesNotHang) {
  ASSERT_EQ(mkfifo((dir_ / "root/fifo").c_str(), 0600), 0);
  auto result = root_.open("fifo", O_RDONLY);
  ASSERT_EQ(result.error, 0);
  EXPECT_TRUE(fcntl(result.fd, F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(fcntl(result.fd, F_GETFD) & FD_CLOEXEC);
}

TEST_F(RootedDirOpen, walksPathsThatAreTooLongForTheKernel) {
  std::string name(MAX_NAME, 'x');
  std::string path;
  kj::AutoCloseFd at(open((dir_ / "root").c_str(), O_RDONLY | O_DIRECTORY));
  while (path.size() <= PATH_MAX) {
    ASSERT_EQ(mkdirat(at, name.c_str(), 0700), 0);
    at = kj::AutoCloseFd(openat(at, name.c_str(), O_RDONLY | O_DIRECTORY));
    path += name + "/";
  }
  kj::AutoCloseFd file(openat(at, "file", O_WRONLY | O_CREAT, 0600));
  writeAll(file, bytesOf("far away"));
  EXPECT_EQ(symlinkat("file", at, "link"), 0);
  EXPECT_EQ(symlinkat(".", at, "linkdir"), 0);

  EXPECT_EQ(opened(path + "file"), "far away");
  EXPECT_EQ(opened(path + "missing"), "(missing)");
  EXPECT_EQ(opened(path + "link"), "(symlink)");
  EXPECT_EQ(opened(path + "linkdir/file"), "(symlink)");
  EXPECT_EQ(opened(path + "../file"), "(outside)");
  EXPECT_EQ(opened(path + "/file"), "(outside)");
  EXPECT_EQ(opened("/" + path + "file"), "(outside)");
  EXPECT_EQ(opened("insidedir/" + path + "file"), "(symlink)");
}

}  // namespace
}  // namespace pibrain
