// Every parser of YAML reads the same text from a scalar that we write.

#include "hub/setup/yaml-scalar.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <yaml-cpp/yaml.h>

#include <vector>

#include "hub/setup/config-edit.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

const std::vector<std::string> PLAIN_SCALARS{
    "laptop",   "my laptop", "a.b",   "a-b_c",   "will@laptop:~/.pi/agent/sessions",
    "/srv/a+b", "~/.ssh/k",  "agent", "noon",    "nulls",
    "x1",       "a:b",       "one",   "nothing", "h:.",
};

const std::vector<std::string> QUOTED{
    "",
    " ",
    "~",
    "no",
    "No",
    "NO",
    "on",
    "off",
    "yes",
    "y",
    "Y",
    "n",
    "true",
    "True",
    "false",
    "null",
    "Null",
    "NULL",
    "007",
    "7",
    "0",
    "-1",
    "+1",
    "0x1f",
    "0o7",
    "0b1",
    "1e3",
    "1.5",
    ".5",
    "1_000",
    "12:30:45",
    "1:2",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    ".inf",
    "-.inf",
    ".nan",
    ".NaN",
    "=",
    "<<",
    "+",
    "-",
    ".",
    "...",
    "---",
    "- a",
    "? a",
    "a: b",
    "a:",
    ": a",
    "a #b",
    "#a",
    "a ",
    " a",
    "a\nb",
    "a\tb",
    "a\r",
    "*a",
    "&a",
    "!a",
    "!!str",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "'a'",
    "\"a\"",
    "a\"b\\c",
    "\\x41",
    "[a]",
    "{a}",
    "a, b",
    "[::1]:x",
    "127.0.0.1:~/x",
    "1.2.3.4",
    "_1",
    "~a",
    "b\xc3\xbcro",
    "a\xc2\x85"
    "b",
    "a\xe2\x80\xa8"
    "b",
    "a\xe2\x80\xa9"
    "b",
    "\xef\xbb\xbf"
    "a",
    "a\xc2\xa0",
    "\xef\xbf\xbe",
    "\xef\xbf\xbf",
    "\xf0\x9f\x98\x80",
    "\xf4\x8f\xbf\xbf",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "\xc2\x9b",
    std::string(3000, 'x') + "\n" + std::string(3000, ' ') + "y",
};

TEST(YamlScalar, quotesAmbiguousValues) {
  for (auto& text : PLAIN_SCALARS) {
    EXPECT_EQ(yamlScalar(text), text);
  }
  for (auto& text : QUOTED) {
    auto written = yamlScalar(text);
    EXPECT_TRUE(written.starts_with('"') && written.ends_with('"')) << written;
    EXPECT_EQ(written.find('\n'), std::string::npos) << "one line";
    EXPECT_EQ(YAML::Load("x: " + written)["x"].Scalar(), text) << written;
  }
  EXPECT_EQ(yamlScalar("/x # y"), "\"/x # y\"");
  EXPECT_EQ(yamlScalar("b\xc3\xbcro"), "\"b\xc3\xbcro\"") << "what can be read stays so";
  EXPECT_EQ(yamlScalar("a\"\\\x1b\xe2\x80\xa8\xef\xbf\xbe"), "\"a\\\"\\\\\\x1B\\u2028\\uFFFE\"");
}

// Each text of one character, alone and beside a letter.
std::vector<std::string> manyTexts() {
  auto all = PLAIN_SCALARS;
  all.insert(all.end(), QUOTED.begin(), QUOTED.end());
  for (int c = 1; c < 0x80; ++c) {
    std::string one(1, char(c));
    for (auto& text : {one, "a" + one, one + "a", "a" + one + "b", one + one, "1" + one + "2"}) {
      all.push_back(text);
    }
  }
  return all;
}

std::string hexLine(size_t index, const char* field, const std::string& text) {
  return absl::StrCat(index, " ", field, " ", absl::BytesToHexString(text), "\n");
}

TEST(YamlScalar, otherParsersReadTheSame) {
  TempDir dir;
  std::string config = "# of more than one program\ndaemon: {x: 1}\n...\n", expected;
  std::string list = "spokes:\n";
  auto texts = manyTexts();
  for (size_t i = 0; i < texts.size(); ++i) {
    // As the commands do: a spoke is added, and then changed.
    auto name = "s" + std::to_string(i);
    SpokeFields fields{{"name", name}, {"source", texts[i]}, {"path", "/old"}};
    auto one = withSpoke(i % 2 == 0 ? "spokes:\n...\n" : "", fields);
    ASSERT_TRUE(one.ok()) << one.status() << texts[i];
    one = withFields(*one, name, {{"path", texts[i]}, {"key", texts[i]}});
    ASSERT_TRUE(one.ok()) << one.status() << texts[i];
    auto begin = one->find("  - name");
    list += one->substr(begin, one->find("...\n", one->size() - 4) - begin);
    for (auto* field : {"source", "path", "key"}) expected += hexLine(i, field, texts[i]);
  }
  dir.write("config.yaml", "# of more than one program\ndaemon: {x: 1}\n" + list + "...\n");
  dir.write("expected", expected);
  // Debian's python3, which has the modules, whichever one is first on PATH.
  auto command = absl::StrCat("/usr/bin/python3 ", PIBRAIN_YAML_READERS, " ", dir / "config.yaml",
                              " ", dir / "expected");
  EXPECT_EQ(system(command.c_str()), 0)
      << "deploy/install-build-deps.sh --test installs what it needs";
}

}  // namespace
}  // namespace pibrain
