// The agent's root, while a local user swaps every component of every path with symlinks that lead
// outside, and files with FIFOs.

#include <gtest/gtest.h>
#include <kj/debug.h>

#include "common/fs/file-io.h"
#include "spoke-agent/tree/directory-tree.h"
#include "tests/unit/canary.h"
#include "tests/unit/flipper.h"

namespace pibrain {
namespace {

const int ROUNDS = flipperRounds();
// Together longer than PATH_MAX, so that the path is walked component by component.
constexpr int DEEP = 18;
const std::string LONG_NAME(240, 'n');

// base/NAME/NAME/…/file
void makeDeep(const TempDir& dir, const std::string& base, std::string_view content) {
  std::filesystem::create_directories(dir / base);
  kj::AutoCloseFd at(open((dir / base).c_str(), O_RDONLY | O_DIRECTORY));
  for (int i = 0; i < DEEP; ++i) {
    mkdirat(at, LONG_NAME.c_str(), 0700);
    at = kj::AutoCloseFd(openat(at, LONG_NAME.c_str(), O_RDONLY | O_DIRECTORY));
  }
  kj::AutoCloseFd file(openat(at, "file", O_WRONLY | O_CREAT, 0600));
  writeAll(file, bytesOf(content));
}

class RootFlipper : public testing::Test {
 protected:
  ~RootFlipper() noexcept override {}

  void readAll(DirectoryTree& root, const Tree& tree) {
    for (uint32_t id = 0; id < tree.files; ++id) {
      auto found = KJ_ASSERT_NONNULL(tree.find(id));
      auto path = found.directory.pathOf(found.file);
      EXPECT_EQ(path.find("canary-only"), std::string::npos);
      auto opened = root.open(tree, id);
      if (opened.is<TreeSource::File>()) {
        char text[64] = "";
        readAt(opened.get<TreeSource::File>().fd, kj::arrayPtr(text, sizeof(text) - 1).asBytes(),
               0);
        EXPECT_EQ(std::string(text), "theirs") << path;
        ++read_;
      } else {
        ++refused_[opened.get<proto::Reason>()];
      }
    }
  }

  TempDir dir_;
  int read_ = 0;
  std::map<proto::Reason, int> refused_;
};

TEST_F(RootFlipper, thousandsOfRounds) {
  for (auto file : {"a/b/file", "a/b/pipe", "a/other", "c/file"}) {
    dir_.write("root/" + std::string(file), "theirs");
  }
  makeDeep(dir_, "root/deep", "theirs");
  makeDeep(dir_, "canary/deep", Canary::MARKER);
  Canary canary(dir_, {"a/b/file", "a/b/pipe", "a/b/canary-only", "a/canary-only", "file",
                       "deep/canary-only"});
  std::filesystem::create_directories(dir_ / "flip");
  auto link = [&](const std::string& name, const std::string& to) {
    ASSERT_EQ(symlink((dir_ / ("canary/" + to)).c_str(), (dir_ / ("flip/" + name)).c_str()), 0);
  };
  link("a", "a");
  link("b", "a/b");
  link("file", "file");
  link("deep", "deep");
  link("deeper", "deep/" + LONG_NAME);
  ASSERT_EQ(mkfifo((dir_ / "flip/fifo").c_str(), 0600), 0);
  DirectoryTree root(dir_ / "root");
  auto whole = root.scan();
  EXPECT_EQ(whole->files, 5u);
  uint64_t swaps = 0;
  {
    Flipper flipper(dir_.open(), {{"root/a", "flip/a"},
                                  {"root/a/b", "flip/b"},
                                  {"root/a/b/file", "flip/file"},
                                  {"root/c/file", "flip/file"},
                                  {"root/a/b/pipe", "flip/fifo"},
                                  {"root/deep", "flip/deep"},
                                  {"root/deep/" + LONG_NAME, "flip/deeper"}});
    int skipped = 0;
    for (int round = 0; round < ROUNDS || int(flipper.swaps()) < ROUNDS; ++round) {
      auto tree = root.scan();
      if (tree->symlinksSkipped + tree->specialsSkipped > 0) ++skipped;
      readAll(root, *tree);
      // Ids of the first walk, many of which name other entries now.
      readAll(root, *whole);
      ASSERT_FALSE(HasFailure()) << "in round " << round;
    }
    EXPECT_GT(skipped, ROUNDS / 100);
    swaps = flipper.swaps();
  }
  canary.expectUntouched();
  std::cout << swaps << " swaps, " << read_ << " read, " << refused_[proto::Reason::VANISHED]
            << " vanished, " << refused_[proto::Reason::NOT_REGULAR] << " not regular\n";
  EXPECT_GT(read_, ROUNDS);
  EXPECT_GT(refused_[proto::Reason::VANISHED], ROUNDS / 100);
  EXPECT_GT(refused_[proto::Reason::NOT_REGULAR], 0);
  for (auto& [reason, count] : refused_) {
    EXPECT_TRUE(reason == proto::Reason::VANISHED || reason == proto::Reason::NOT_REGULAR)
        << int(reason);
  }
}

}  // namespace
}  // namespace pibrain
