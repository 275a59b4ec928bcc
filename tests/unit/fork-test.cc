#include "spoke-agent/answers/fork.h"
#include "common/tree/tree-walk.h"

#include <gtest/gtest.h>

#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(Fork, parentNamedInAHeader) {
  struct Case {
    std::string beginning, parent;
  };
  for (auto& [beginning, parent] : {
           Case{R"({"type":"session","parentSession":"/a/b.jsonl"})", "/a/b.jsonl"},
           {R"({"branchedFrom":"/a/b.jsonl","type":"session"})", "/a/b.jsonl"},
           {R"({"type":"session"})", ""},
           {R"({"parentSession":null})", ""},
           {R"({"parentSession":""})", ""},
           {R"({"parentSession":"/a/b)", ""},
           {R"({"text":"\"parentSession\":\"/a/b\""})", ""},
           {"{}\n{\"parentSession\":\"/a/b\"}", ""},
           {"", ""},
           {std::string("\0\xff\n", 3), ""},
       }) {
    EXPECT_EQ(parentNamedIn(beginning), parent) << beginning;
  }
}

TEST(Fork, parentIsFoundWhereverTheRootIs) {
  TempDir dir;
  for (auto path : {"p/a.jsonl", "q/a.jsonl", "q/deep/b.jsonl", "top.jsonl"}) dir.write(path, "x");
  auto tree = walkTree(dir.open());
  auto found = [&](std::string_view path, std::string_view directory) -> std::string {
    KJ_IF_MAYBE(id, findParent(tree, path, directory)) {
      KJ_IF_MAYBE(file, tree.find(*id)) return file->directory.pathOf(file->file);
    }
    return "";
  };
  EXPECT_EQ(found("/home/me/sessions/p/a.jsonl", "q"), "p/a.jsonl");
  EXPECT_EQ(found("/home/me/sessions/q/deep/b.jsonl", ""), "q/deep/b.jsonl");
  EXPECT_EQ(found("/home/me/sessions/top.jsonl", "p"), "top.jsonl");
  EXPECT_EQ(found("/home/me/sessions/renamed/a.jsonl", "q"), "q/a.jsonl");
  EXPECT_EQ(found("/home/me/sessions/renamed/top.jsonl", ""), "top.jsonl");
  EXPECT_EQ(found("a.jsonl", "p"), "p/a.jsonl");
  EXPECT_EQ(found("/home/me/sessions/p/b.jsonl", "p"), "");
  EXPECT_EQ(found("", "p"), "");
  EXPECT_EQ(found("/", ""), "");
  EXPECT_EQ(found("../../p/../p/a.jsonl", ""), "p/a.jsonl");
}

}  // namespace
}  // namespace pibrain
