#include "common/text/exclusions.h"

#include <gtest/gtest.h>

namespace pibrain {
namespace {

bool leavesOut(const std::string& pattern, const std::string& path) {
  return Exclusions({pattern}).coverFile(path);
}

TEST(ExclusionsTest, patterns) {
  struct Case {
    std::string pattern;
    std::vector<std::string> out, in;
  };
  for (auto& [pattern, out, in] : {
           Case{"*.tmp", {"a.tmp", ".tmp", "x/y/a.tmp", "a.tmp/b"}, {"a.tmp2", "tmp", "a.TMP"}},
           {"core", {"core", "x/core", "core/a"}, {"core.1", "xcore", "x/core2/a"}},
           {"/core", {"core", "core/a"}, {"x/core"}},
           {"node_modules/",
            {"node_modules/a", "x/node_modules/y/z"},
            {"node_modules", "x/node_modules"}},
           {"work/old", {"work/old", "work/old/a"}, {"x/work/old", "work/older", "work"}},
           {"work/*", {"work/a", "work/a/b"}, {"work", "x/work/a"}},
           {"work/*/a", {"work/x/a"}, {"work/a", "work/x/y/a"}},
           {"**/a", {"a", "x/a", "x/y/a"}, {"ab", "x/ab"}},
           {"x/**/a", {"x/a", "x/y/a", "x/y/z/a"}, {"a", "y/x/a", "x/ab"}},
           {"x/**", {"x/a", "x/y/a"}, {"x", "xy/a", "y/x/a"}},
           {"**/cache/*.db", {"cache/a.db", "x/y/cache/b.db"}, {"cache/x/a.db", "cache/a.dbx"}},
           {"a?c", {"abc", "a?c"}, {"ac", "abbc"}},
           {"a/?", {"a/b"}, {"a//", "a/bc"}},
           {"[a-c]1", {"a1", "c1"}, {"d1", "[a-c]1"}},
           {"[!a-c]1", {"d1", "-1"}, {"a1", "b1"}},
           {"[]x]", {"]", "x"}, {"a"}},
           {"[a\\]]", {"a", "]"}, {"\\"}},
           {"[a-]", {"a", "-"}, {"b"}},
           {"\\*", {"*"}, {"a"}},
           {"\\!x", {"!x"}, {"x", "\\!x"}},
           {"a b", {"a b"}, {"ab"}},
           {"*a*b*c", {"abc", "xxaxxbxxc", "abcabc"}, {"abcx", "acb"}},
           {"**", {"a", "x/y"}, {}},
           {"\xc3\xa4*", {"\xc3\xa4x"}, {"ax"}},
       }) {
    EXPECT_EQ(Exclusions::whyNot(pattern), std::nullopt) << pattern;
    for (auto& path : out) EXPECT_TRUE(leavesOut(pattern, path)) << pattern << " " << path;
    for (auto& path : in) EXPECT_FALSE(leavesOut(pattern, path)) << pattern << " " << path;
  }
}

TEST(ExclusionsTest, invalidPatterns) {
  for (auto& pattern : std::vector<std::string>{
           "", "/", "!a", "a//b", "//", "[a", "x[", "[]", "\\\\[a", "a\\", "./a", "a/../b", "a\nb",
           std::string("a\0b", 3), "[a/b]", std::string(1001, 'a')}) {
    EXPECT_NE(Exclusions::whyNot(pattern), std::nullopt) << pattern;
    EXPECT_FALSE(Exclusions({pattern}).match("a", false)) << pattern;
  }
}

TEST(ExclusionsTest, ofADirectoryAllIsLeftOut) {
  Exclusions exclusions({"cache/", "*.log"});
  EXPECT_TRUE(exclusions.match("x/cache", true));
  EXPECT_FALSE(exclusions.match("x/cache", false));
  // By its own path alone: who walks has not come here.
  EXPECT_FALSE(exclusions.match("cache/a", false));
  EXPECT_TRUE(exclusions.coverFile("cache/a"));
  EXPECT_TRUE(exclusions.coverFile("x.log/y/a"));
  EXPECT_FALSE(Exclusions().coverFile("a"));
}

TEST(ExclusionsTest, noPatternTakesLong) {
  std::string stars;
  for (int i = 0; i < 300; ++i) stars += "*a";
  EXPECT_FALSE(leavesOut(stars + "b", std::string(255, 'a')));
  std::string deep, path;
  for (int i = 0; i < 100; ++i) deep += "**/a/", path += "a/";
  EXPECT_FALSE(leavesOut(deep + "b", path + "c"));
  EXPECT_TRUE(leavesOut(deep + "c", path + "c"));
}

}  // namespace
}  // namespace pibrain
