// The mirror, its staging directory and the archive, while a local user swaps every component of
// every path with symlinks that lead out, and files with FIFOs.

#include <gtest/gtest.h>
#include <kj/debug.h>

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/wire/digest.h"
#include "hub/mirror/mirror.h"
#include "tests/unit/canary.h"
#include "tests/unit/flipper.h"

namespace pibrain {
namespace {

constexpr int64_t FLIPPED_AT = 1769860800 * SECOND;
const std::string FLIPPED = "archive/spoke/20260131T120000.000Z~replaced";
const int ROUNDS = flipperRounds();
constexpr int ROUNDS_A_MIRROR = 10;  // before it is opened again and holds no descriptors

std::string stagedName(std::string_view path) {
  auto hash = digestOf(bytesOf(path));
  char name[64];
  snprintf(name, sizeof(name), "mirror/.pi-brain-staging/%016llx%016llx.part",
           (unsigned long long)hash.high, (unsigned long long)hash.low);
  return name;
}

class MirrorFlipper : public testing::Test {
 protected:
  // The tree between two attacks.
  void reset() {
    for (auto name : {"mirror", "archive", "flip"}) std::filesystem::remove_all(dir_ / name);
    dir_.write("mirror/a/b/file", "version 0\n");
    dir_.write("mirror/a/b/pipe", "version 0\n");
    dir_.write("mirror/.pi-brain-staging/x", "version 0\n");
    for (auto link : {"a", "a/b", "a/b/file", "staging", "archive/spoke", "archive/spoke/run",
                      "archive/spoke/run/a"}) {
      std::filesystem::create_directories(dir_ / "flip");
      std::string name = link;
      std::replace(name.begin(), name.end(), '/', '-');
      ASSERT_EQ(symlink((dir_ / ("canary/" + std::string(link))).c_str(),
                        (dir_ / ("flip/" + name)).c_str()),
                0);
    }
    ASSERT_EQ(symlink((dir_ / "canary/a/b/file").c_str(), (dir_ / "flip/staged").c_str()), 0);
    ASSERT_EQ(mkfifo((dir_ / "flip/fifo").c_str(), 0600), 0);
    ASSERT_EQ(mkfifo((dir_ / "flip/staged-fifo").c_str(), 0600), 0);
  }

  template <typename Work>
  void attempt(const char* what, Work&& work) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { work(); })) {
      ++failed_[what];
    } else {
      ++succeeded_[what];
    }
  }

  static void commit(Mirror& mirror) {
    auto uncommitted = mirror.commit();
    if (!uncommitted.empty()) Mirror::fail(uncommitted[0]);
  }
  void publish(Mirror& mirror, const std::string& path) {
    attempt("publish", [&]() {
      auto fd = mirror.openStaged(path, false);
      writeAll(fd, bytesOf("version 1\n"));
      fd = nullptr;
      mirror.publish(path);
      commit(mirror);
    });
  }
  void read(Mirror& mirror, const std::string& path) {
    KJ_IF_MAYBE(file, mirror.openFile(path)) {
      char text[64] = "";
      readAt(file->fd, kj::arrayPtr(text, sizeof(text) - 1).asBytes(), 0);
      EXPECT_TRUE(std::string_view(text).starts_with("version")) << path << ": " << text;
      ++succeeded_["read"];
      attempt("append", [&]() {
        auto fd = mirror.openForAppend(path, file->size, file->mtime);
        writeAllAt(fd, bytesOf("more\n"), file->size);
      });
    } else {
      ++failed_["read"];
    }
  }
  void work(Mirror& mirror) {
    for (std::string path : {"a/b/file", "a/b/pipe", "a/b/new"}) {
      publish(mirror, path);
      read(mirror, path);
    }
    attempt("move", [&]() { mirror.move("a/b/file", "c/d/moved"); });
    attempt("move", [&]() { mirror.move("c/d/moved", "a/b/file"); });
    attempt("walk", [&]() {
      auto tree = mirror.walk();
      for (auto& directory : tree.directories) {
        for (auto& file : directory.files) EXPECT_NE(directory.name(file), "canary-only");
      }
    });
    attempt("continue",
            [&]() { writeAll(mirror.openStaged("a/b/file", true), bytesOf("version")); });
    attempt("delete", [&]() {
      mirror.archiveFile("a/b/pipe");
      commit(mirror);
    });
    attempt("clear", [&]() { mirror.clearStaging(); });
  }

  // In memory if possible, so that the rounds are cheap.
  TempDir dir_{access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"};
  std::map<std::string, int> succeeded_, failed_;
};

TEST_F(MirrorFlipper, thousandsOfRounds) {
  Canary canary(
      dir_, {"a/b/file", "a/b/pipe", "a/b/canary-only", "staging/x", "archive/spoke/run/a/b/file",
             "archive/spoke/20260131T120000.000Z~replaced/a/b/file"});
  reset();
  Flipper flipper(dir_.open(), {{"mirror/a", "flip/a"},
                                {"mirror/a/b", "flip/a-b"},
                                {"mirror/a/b/file", "flip/a-b-file"},
                                {"mirror/a/b/pipe", "flip/fifo"},
                                {"mirror/.pi-brain-staging", "flip/staging"},
                                {stagedName("a/b/file"), "flip/staged"},
                                {stagedName("a/b/pipe"), "flip/staged-fifo"},
                                {stagedName("a/b/new"), "flip/staged"},
                                {"archive/spoke", "flip/archive-spoke"},
                                {FLIPPED, "flip/archive-spoke-run"},
                                {FLIPPED + "/a", "flip/archive-spoke-run-a"}});
  for (int round = 0; round < ROUNDS || int(flipper.swaps()) < ROUNDS; round += ROUNDS_A_MIRROR) {
    {
      auto pause = flipper.pause();
      for (auto name : {"mirror", "archive"}) canary.expectNotIn(name);
      reset();
    }
    Mirror mirror(dir_ / "mirror", Mirror::Access::WRITE,
                  Archive(dir_ / "archive", "spoke", FLIPPED_AT));
    for (int i = 0; i < ROUNDS_A_MIRROR; ++i) work(mirror);
    ASSERT_FALSE(HasFailure()) << "in round " << round;
  }
  auto pause = flipper.pause();
  canary.expectUntouched();
  for (auto what : {"publish", "read", "append", "move", "delete", "continue"}) {
    std::cout << what << ": " << succeeded_[what] << " done, " << failed_[what] << " refused\n";
    EXPECT_GT(succeeded_[what], ROUNDS / 100) << what;
    EXPECT_GT(failed_[what], 0) << what;
  }
  std::cout << flipper.swaps() << " swaps\n";
}

}  // namespace
}  // namespace pibrain
