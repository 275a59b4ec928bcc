#include "spoke-agent/tree/directory-tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/tree/tree-walk.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(DirectoryTreeTest, whatIsExcludedIsNotThere) {
  TempDir dir;
  for (auto* name : {"a.jsonl", "a.tmp", "secret/b.jsonl", "x/secret/c.jsonl"})
    dir.write(name, "{}\n");
  ASSERT_EQ(symlink("a.jsonl", (dir / "link.tmp").c_str()), 0);
  ASSERT_EQ(mkfifo((dir / "secret/pipe").c_str(), 0600), 0);
  auto served = kj::refcounted<DirectoryTree>(dir.path(), Exclusions({"*.tmp", "secret/"}));
  auto tree = served->scan();
  EXPECT_EQ(tree->files, 1u);
  EXPECT_EQ(tree->bytes, 3u);
  EXPECT_EQ(tree->symlinksSkipped + tree->specialsSkipped, 0u);
  EXPECT_TRUE(tree->skipped.empty());
  EXPECT_TRUE(tree->problems.empty());
  EXPECT_TRUE(tree->idOf("a.jsonl") != nullptr);

  // As if there were nothing else: the digest, too.
  TempDir other;
  other.write("a.jsonl", "{}\n");
  struct stat st;
  ASSERT_EQ(stat((dir / "a.jsonl").c_str(), &st), 0);
  struct timespec times[2] = {st.st_mtim, st.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, (other / "a.jsonl").c_str(), times, 0), 0);
  auto all = kj::refcounted<DirectoryTree>(other.path());
  EXPECT_EQ(treeDigest(*tree), treeDigest(*all->scan()));
}

// By whichever tree it is asked for.
TEST(DirectoryTreeTest, whatIsExcludedIsNotOpened) {
  TempDir dir;
  for (auto* name : {"a.jsonl", "a.tmp", "secret/b.jsonl"}) dir.write(name, "{}\n");
  auto served = kj::refcounted<DirectoryTree>(dir.path(), Exclusions({"*.tmp", "secret/"}));
  auto whole = walkTree(served->fd());
  EXPECT_EQ(whole.files, 3u);
  for (auto* path : {"a.tmp", "secret/b.jsonl"}) {
    auto opened = served->open(whole, KJ_ASSERT_NONNULL(whole.idOf(path)));
    ASSERT_TRUE(opened.is<proto::Reason>()) << path;
    EXPECT_EQ(opened.get<proto::Reason>(), proto::Reason::BAD_REQUEST);
  }
  auto opened = served->open(whole, KJ_ASSERT_NONNULL(whole.idOf("a.jsonl")));
  EXPECT_TRUE(opened.is<DirectoryTree::File>());
}

}  // namespace
}  // namespace pibrain
