#include "hub/report/session-start.h"

#include <gtest/gtest.h>

namespace pibrain {
namespace {

const std::string HEADER = R"({"type":"session","version":3,"id":"x","cwd":"/home/will/shop"})";

std::string userLine(const std::string& words) {
  return R"({"type":"message","message":{"role":"user","content":[{"type":"text","text":")" +
         words + R"("}]}})";
}

TEST(SessionStart, directoryAndFirstWords) {
  auto start = readSessionStart(HEADER + "\n" + R"({"type":"model_change","modelId":"m"})" + "\n" +
                                userLine("Fix the\\n\\n login") + "\n" + userLine("later") + "\n");
  EXPECT_EQ(start.directory, "/home/will/shop");
  EXPECT_EQ(start.title, "Fix the login");
}

TEST(SessionStart, keysInAnyOrderAndBlanks) {
  auto start = readSessionStart(
      "{ \"cwd\" : \"/a\" }\n"
      R"({"message" : { "content" : [ { "text" : "words" , "type" : "text" } ] , "role" : "user" })"
      R"(, "type" : "message" })");
  EXPECT_EQ(start.directory, "/a");
  EXPECT_EQ(start.title, "words");
}

TEST(SessionStart, onlyAUsersMessage) {
  for (std::string line :
       {R"({"type":"message","message":{"role":"assistant","content":"no"}})",
        R"({"type":"custom","message":{"role":"user","content":"no"}})",
        R"({"type":"message","data":{"message":{"role":"user","content":"no"}}})",
        R"({"type":"message","message":{"role":"user","content":[{"type":"image","data":"no"}]}})",
        R"({"type":"message","message":{"role":"user","content":[[{"text":"no"}]]}})",
        R"("type":"message","message":{"role":"user","content":"no"}})", "no", "", "}", "]]",
        "\""}) {
    EXPECT_EQ(readSessionStart(line).title, "") << line;
    EXPECT_EQ(readSessionStart(line + "\n" + userLine("yes")).title, "yes") << line;
  }
}

// Wherever the beginning of the file ends, it is the beginning of the title that is found.
TEST(SessionStart, cutOffAnywhere) {
  auto whole = HEADER + "\n" + userLine("caf\\u00e9 \\ud83d\\ude00 \\\"x\\\" \\\\");
  std::string title = "café 😀 \"x\" \\";
  EXPECT_EQ(readSessionStart(whole).title, title);
  size_t found = 0;
  for (size_t length = 0; length < whole.size(); ++length) {
    // By what is at hand of an escape, its character is not known: U+FFFD.
    auto part = readSessionStart(whole.substr(0, length)).title;
    while (part.ends_with("\xef\xbf\xbd")) part.resize(part.size() - 3);
    if (part.ends_with(' ')) part.pop_back();
    EXPECT_TRUE(title.starts_with(part)) << part;
    found += part.empty() ? 0 : 1;
  }
  EXPECT_GT(found, 20u);
}

TEST(SessionStart, longWordsAreCutBetweenCharacters) {
  EXPECT_EQ(readSessionStart(userLine(std::string(120, 'x'))).title, std::string(120, 'x'));
  EXPECT_EQ(readSessionStart(userLine(std::string(119, 'x') + "éé")).title,
            std::string(119, 'x') + "…");
  EXPECT_LT(readSessionStart(userLine(std::string(1'000'000, 'x'))).title.size(), 130u);
}

TEST(SessionStart, whatIsNotJson) {
  for (std::string odd : {std::string(100'000, '{'), std::string(100'000, '['),
                          std::string(9000, '"'), std::string(9000, '\\'), std::string(9000, '\0'),
                          std::string(9000, '\xff'), std::string("{\"a\":\""),
                          std::string("{\"cwd\":\"\\u"), std::string("{\"cwd\":\"\\ud800\\u")}) {
    EXPECT_EQ(readSessionStart(odd).title, "");
    EXPECT_EQ(readSessionStart(odd + "\n" + userLine("words")).title, "words");
  }
}

}  // namespace
}  // namespace pibrain
