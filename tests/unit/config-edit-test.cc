// Changes to config.yaml leave everything else as it was.

#include "hub/setup/config-edit.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "hub/base/user-files.h"
#include "hub/config/config.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

const SpokeFields LAPTOP{
    {"name", "laptop"}, {"sync_method", "agent"}, {"source", "u@h:~/s"}, {"path", "/m"}};

std::string added(const std::string& text, const SpokeFields& fields = LAPTOP) {
  auto result = withSpoke(text, fields);
  return result.ok() ? *result : "! " + std::string(result.status().message());
}

constexpr char ITEM[] =
    "  - name: laptop\n    sync_method: agent\n    source: u@h:~/s\n    path: /m\n";

TEST(ConfigEdit, theFirstSpoke) {
  EXPECT_EQ(added(""), std::string("spokes:\n") + ITEM);
  EXPECT_EQ(added("# only words\n"), std::string("# only words\nspokes:\n") + ITEM);
  EXPECT_EQ(added("hub:\n  web_ui_port: 1"),
            std::string("hub:\n  web_ui_port: 1\n\nspokes:\n") + ITEM);
  for (auto empty : {"spokes:\n", "spokes: []\n", "spokes: [ ]\n", "spokes: ~\n", "spokes: null\n",
                     "spokes:   \n", "spokes:"}) {
    EXPECT_EQ(added(empty), std::string("spokes:\n") + ITEM) << empty;
  }
  EXPECT_EQ(added("spokes: # mine\nquery: {a: 1} # other\n"),
            std::string("spokes: # mine\n") + ITEM + "query: {a: 1} # other\n");
}

TEST(ConfigEdit, anotherSpoke) {
  auto one = std::string("spokes:\n  - name: a # first\n    path: /a\n");
  EXPECT_EQ(added(one), one + ITEM);
  EXPECT_EQ(added(one + "\n# of the daemon\ndaemon:\n  x: [1,\n    2]\n"),
            one + ITEM + "\n# of the daemon\ndaemon:\n  x: [1,\n    2]\n");
  EXPECT_EQ(added("spokes:\n- name: a\n  path: /a\n"),
            "spokes:\n- name: a\n  path: /a\n- name: laptop\n  sync_method: agent\n  source: "
            "u@h:~/s\n  path: /m\n");
  EXPECT_EQ(added("spokes:\n    -   name: a\n        path: /a"),
            "spokes:\n    -   name: a\n        path: /a\n    -   name: laptop\n        "
            "sync_method: agent\n"
            "        source: u@h:~/s\n        path: /m\n");
  auto spaced = std::string(
      "spokes:\n  - name: a\n    path: /a\n\n  # the second\n  -\n    name: b\n    path: /b\n");
  EXPECT_EQ(added(spaced), spaced + ITEM);
  auto blank = std::string("spokes:\n  - name: a\n    path: /a\n\n  - name: b\n    path: /b\n");
  EXPECT_EQ(added(blank), blank + "\n" + ITEM);
  EXPECT_EQ(
      added("spokes:\r\n  - name: a\r\n    path: /a\r\n"),
      "spokes:\r\n  - name: a\r\n    path: /a\r\n  - name: laptop\r\n    sync_method: agent\r\n"
      "    source: u@h:~/s\r\n    path: /m\r\n");
}

TEST(ConfigEdit, valuesAreQuotedIfNecessary) {
  SpokeFields odd{{"name", "a: b"},
                  {"path", "/x # y"},
                  {"key", "true"},
                  {"source", "*"},
                  {"ssh", "line\nline"}};
  auto text = added("spokes:\n", odd);
  EXPECT_EQ(text.find("! "), std::string::npos) << text;
  EXPECT_NE(text.find("\"/x # y\""), std::string::npos) << text;
}

TEST(ConfigEdit, ambiguousValuesAreQuoted) {
  auto text = added("", {{"name", "007"}, {"source", "on"}, {"path", "/m"}});
  EXPECT_EQ(text, "spokes:\n  - name: \"007\"\n    source: \"on\"\n    path: /m\n");
  // The owner's notation stays, also in a spoke that is changed.
  EXPECT_EQ(*withFields("spokes:\n- name: 007\n  path: 1e3\n  source: a\n", "007",
                        {{"name", "007"}, {"path", "1e3"}, {"source", "no"}}),
            "spokes:\n- name: 007\n  path: 1e3\n  source: \"no\"\n");
  EXPECT_EQ(*withoutSpoke("spokes:\n- name: true\n  path: /a\n- name: 007\n", "true"),
            "spokes:\n- name: 007\n");
  auto bytes = withSpoke("", {{"name", "a"}, {"path", "/\xff"}});
  EXPECT_NE(bytes.status().message().find("the path '/\\xff' is not UTF-8"), std::string::npos)
      << bytes.status();
  EXPECT_FALSE(withFields("spokes:\n- name: a\n", "a", {{"path", "/\xff"}}).ok());
}

TEST(ConfigEdit, textAfterTheEndOfTheDocumentStays) {
  for (std::string end : {"...\n", "...", "... # the end\n", "...\n\n# the end\n...\n"}) {
    EXPECT_EQ(added("hub: {}\n" + end), std::string("hub: {}\n\nspokes:\n") + ITEM + end);
    EXPECT_EQ(added("spokes:\n" + end), std::string("spokes:\n") + ITEM + end);
    EXPECT_EQ(added("---\nspokes: [] # none\n" + end),
              std::string("---\nspokes:  # none\n") + ITEM + end);
    EXPECT_EQ(added("spokes:\n  - name: a\n    path: /a\n" + end),
              std::string("spokes:\n  - name: a\n    path: /a\n") + ITEM + end);
    auto one = std::string("spokes:\n") + ITEM + end;
    EXPECT_EQ(*withFields(one, "laptop", {{"key", "k"}}),
              std::string("spokes:\n") + ITEM + "    key: k\n" + end);
    EXPECT_EQ(*withoutSpoke(one, "laptop"), "spokes:\n" + end);
  }
  EXPECT_EQ(added("hub: {}\r\n...\r\n").substr(0, 20), "hub: {}\r\n\r\nspokes:\r\n");
  EXPECT_TRUE(added("hub: {}\r\n...\r\n").ends_with("\r\n...\r\n"));
  // This line does not end the document.
  auto text = std::string("x: |\n  a\n  ...\n  b\n");
  EXPECT_EQ(added(text), text + "\nspokes:\n" + ITEM);
}

TEST(ConfigEdit, unsupportedFilesAreRefused) {
  for (auto text :
       {"spokes: [{name: a, path: /a}]\n", "{spokes: [], hub: {}}\n", "spokes:\n  a: 1\n", "- a\n",
        "spokes: 3\n", "spokes:\n  - {name: a, path: /a}\n", "a: [\n",
        "---\nhub: {}\n---\nhub: {}\n"}) {
    auto result = added(text);
    EXPECT_EQ(result.rfind("! ", 0), 0u) << text << "became\n" << result;
    EXPECT_NE(result.find("By hand, add {name: laptop, "), std::string::npos) << result;
  }
}

constexpr char TWO[] =
    "# mine\nspokes:\n  # the first\n  - name: 'a'   # called a\n    source: \"u@h:~/s\" # there\n "
    "   path: /a\n"
    "    rsync_options:\n      delete: true\n\n  # the second\n  - name: b\n    path: /b\n\nhub: "
    "{}\n";

TEST(ConfigEdit, fields) {
  auto edited = *withFields(TWO, "a", {{"source", "v@i:~/s"}, {"key", "~/.ssh/k"}, {"path", "/a"}});
  EXPECT_EQ(edited,
            "# mine\nspokes:\n  # the first\n  - name: 'a'   # called a\n    source: v@i:~/s # "
            "there\n    path: /a\n"
            "    rsync_options:\n      delete: true\n    key: ~/.ssh/k\n\n  # the second\n  - "
            "name: b\n    path: /b\n\nhub: {}\n");
  EXPECT_EQ(*withFields(edited, "a", {{"source", "v@i:~/s"}, {"key", "~/.ssh/k"}}), edited);
  EXPECT_FALSE(withFields(TWO, "nobody", {{"key", "k"}}).ok());
}

TEST(ConfigEdit, numbersTruthValuesAndLists) {
  auto text = std::string("spokes:\n  - name: a # x\n    enabled: no # y\n");
  const SpokeFields fields{{"enabled", "true"},
                           {"port", "2222"},
                           {"exclude", std::vector<std::string>{"*.tmp", "old/", "a\"]"}}};
  auto result = withFields(text, "a", fields);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result,
            "spokes:\n  - name: a # x\n    enabled: true # y\n    port: 2222\n"
            "    exclude: [\"*.tmp\", old/, \"a\\\"]\"]\n");
  EXPECT_EQ(*withFields(*result, "a", fields), *result);
  EXPECT_EQ(*withFields(*result, "a", {{"exclude", std::vector<std::string>{"x"}}}),
            "spokes:\n  - name: a # x\n    enabled: true # y\n    port: 2222\n    exclude: [x]\n");
  EXPECT_EQ(*withFields(*result, "a", {{"exclude", std::vector<std::string>()}}),
            "spokes:\n  - name: a # x\n    enabled: true # y\n    port: 2222\n    exclude: []\n");
  // Of more lines than one: by hand.
  auto block = withFields("spokes:\n  - name: a\n    exclude:\n      - x\n", "a",
                          {{"exclude", std::vector<std::string>{"y"}}});
  ASSERT_FALSE(block.ok());
  EXPECT_NE(block.status().message().find("exclude: [\"y\"]"), std::string::npos) << block.status();
  EXPECT_TRUE(withFields("spokes:\n  - name: a\n    exclude:\n      - x\n", "a",
                         {{"exclude", std::vector<std::string>{"x"}}})
                  .ok());
  EXPECT_EQ(fieldOf(text, "a", "enabled"), "no");
  EXPECT_EQ(fieldOf(text, "a", "path"), "");
  EXPECT_EQ(fieldOf(text, "b", "enabled"), "");
}

TEST(ConfigEdit, sharedValuesAreNotChanged) {
  for (std::string text : {"x: &k ~/.ssh/k\nspokes:\n- name: a\n  key: *k\n- name: b\n  key: *k\n",
                           "spokes:\n- name: b\n  key: &k ~/.ssh/k\n- name: a\n  key: *k\n",
                           "spokes:\n- name: a\n  key: &k ~/.ssh/k\n- name: b\n  key: *k\n",
                           "spokes:\n- name: a\n  path: &k ~/.ssh/k\n  key: *k\n"}) {
    auto edited = withFields(text, "a", {{"key", "~/.ssh/new"}});
    EXPECT_FALSE(edited.ok()) << *edited;
    EXPECT_NE(edited.status().message().find("By hand, give the spoke 'a' {key: ~/.ssh/new}"),
              std::string::npos);
    // As a truth value, not as a string.
    edited = withFields(text, "a", {{"key", "k"}, {"enabled", "false"}});
    EXPECT_NE(edited.status().message().find("{key: k, enabled: false}"), std::string::npos);
  }
}

TEST(ConfigEdit, removing) {
  EXPECT_EQ(
      *withoutSpoke(TWO, "a"),
      "# mine\nspokes:\n  # the first\n\n  # the second\n  - name: b\n    path: /b\n\nhub: {}\n");
  EXPECT_EQ(*withoutSpoke(TWO, "b"),
            "# mine\nspokes:\n  # the first\n  - name: 'a'   # called a\n    source: \"u@h:~/s\" # "
            "there\n    path: /a\n"
            "    rsync_options:\n      delete: true\n\n  # the second\n\nhub: {}\n");
  EXPECT_EQ(*withoutSpoke(std::string("spokes:\n") + ITEM, "laptop"), "spokes:\n");
  EXPECT_EQ(*withoutSpoke("spokes:\n  - name: a\n    path: /a\n\n  - name: b\n    path: /b\n", "b"),
            "spokes:\n  - name: a\n    path: /a\n");
  EXPECT_FALSE(withoutSpoke(TWO, "nobody").ok());
}

TEST(ConfigEdit, removingWhatWasAddedRestoresTheFile) {
  for (auto text : {TWO, "spokes:\n  - name: a\n    path: /a\n",
                    "hub: {}\n\nspokes:\n- name: a\n  path: /a\n\n- name: b\n  path: /b\n"}) {
    EXPECT_EQ(*withoutSpoke(added(text), "laptop"), text);
  }
}

class EditFile : public testing::Test {
 protected:
  TempDir dir_;
  std::string path_ = dir_ / "deep/config.yaml";
  absl::Status add(const std::string& path, const std::string& name) {
    auto fields = LAPTOP;
    fields[0].second = name;
    fields[3].second = "/m/" + name;
    return editFile(path, [&](const std::string& text) { return withSpoke(text, fields); });
  }
};

TEST_F(EditFile, createsTheFileAndKeepsItsMode) {
  ASSERT_TRUE(add(path_, "a").ok());
  struct stat st;
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  chmod(path_.c_str(), 0644);
  auto link = dir_ / "link.yaml";
  ASSERT_EQ(symlink(path_.c_str(), link.c_str()), 0);
  ASSERT_TRUE(add(link, "b").ok());
  ASSERT_EQ(lstat(link.c_str(), &st), 0);
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0644u);
  EXPECT_EQ(loadConfig(path_)->spokes.size(), 2u);
}

TEST_F(EditFile, leavesTheFileAloneIfNothingChanges) {
  ASSERT_TRUE(add(path_, "a").ok());
  struct stat before, after;
  ASSERT_EQ(stat(path_.c_str(), &before), 0);
  ASSERT_TRUE(editFile(path_, [](const std::string& text) { return text; }).ok());
  ASSERT_EQ(stat(path_.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  auto text = *readWholeFile(path_);
  auto failed = editFile(path_, [](const std::string&) -> absl::StatusOr<std::string> {
    return absl::InvalidArgumentError("no");
  });
  EXPECT_NE(failed.message().find("config.yaml: no"), std::string::npos);
  EXPECT_EQ(*readWholeFile(path_), text);
}

TEST_F(EditFile, manyEditsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back(
        [this, i]() { EXPECT_TRUE(add(path_, "spoke" + std::to_string(i)).ok()); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(loadConfig(path_)->spokes.size(), 16u);
}

}  // namespace
}  // namespace pibrain
