#include "hub/base/user-files.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace pibrain {
namespace {

class UserFiles : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pi-brain-files-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override {
    chmod((dir_ + "/closed").c_str(), 0700);
    std::filesystem::remove_all(dir_);
  }
  void expectReached(const std::string& path, const std::string& reached, int error) {
    auto nearest = nearestTo(dir_ + path);
    EXPECT_EQ(nearest.path, dir_ + reached);
    EXPECT_EQ(nearest.error, error) << path;
  }
  std::string dir_;
};

TEST_F(UserFiles, theLongestAccessiblePartOfAPath) {
  std::filesystem::create_directories(dir_ + "/closed/in");
  std::ofstream(dir_ + "/file") << "x";
  expectReached("/closed/in", "/closed/in", 0);
  expectReached("/closed/no/such", "/closed", ENOENT);
  expectReached("/file/below/it", "/file", ENOTDIR);
  EXPECT_EQ(nearestTo("/").path, "/");
  EXPECT_EQ(nearestTo("/no-such-thing/x").path, "/");
  if (geteuid() == 0) return;
  chmod((dir_ + "/closed").c_str(), 0);
  expectReached("/closed/in", "/closed", EACCES);
  expectReached("/closed/in/deeper", "/closed", EACCES);
}

TEST_F(UserFiles, onlyRegularFilesAreRead) {
  ASSERT_EQ(mkfifo((dir_ + "/pipe").c_str(), 0600), 0);
  std::ofstream(dir_ + "/file") << "x";
  for (auto path : {dir_ + "/pipe", std::string("/dev/zero"), std::string("/dev/full")}) {
    EXPECT_TRUE(isNoFile(path)) << path;
    EXPECT_FALSE(readWholeFile(path)) << path;
    EXPECT_NE(whyUnread(errno).find("it is a pipe"), std::string::npos) << path;
  }
  for (auto path : {dir_ + "/file", std::string("/dev/null"), dir_, dir_ + "/missing"}) {
    EXPECT_FALSE(isNoFile(path)) << path;
  }
  EXPECT_EQ(readWholeFile(dir_ + "/file"), "x");
  EXPECT_EQ(readWholeFile("/dev/null"), "");
  EXPECT_FALSE(readWholeFile(dir_));
  EXPECT_EQ(whyUnread(errno), "Is a directory");
}

TEST_F(UserFiles, obstacles) {
  auto says = [&](int error, const std::string& words) {
    auto text = explainObstacle(dir_, error);
    EXPECT_NE(text.find(words), std::string::npos) << text;
  };
  says(EROFS, "read-only; 'findmnt -T " + dir_ + "'");
  says(ENOTDIR, "is not a directory");
  says(EACCES, "Permission denied. Check its owner and mode with 'ls -ld " + dir_ + "'");
  says(EIO, "Input/output error");
  if (geteuid() != 0) {
    EXPECT_NE(explainObstacle("/", EACCES).find("/ belongs to root, not to "), std::string::npos);
  }
}

}  // namespace
}  // namespace pibrain
