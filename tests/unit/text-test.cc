#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"

#include <gtest/gtest.h>

#include "hub/base/subprocess.h"
#include "tests/unit/temp-dir.h"

namespace pibrain {
namespace {

TEST(Text, shortensInTheMiddle) {
  EXPECT_EQ(elideMiddle("", 10), "");
  EXPECT_EQ(elideMiddle("0123456789", 10), "0123456789");
  auto cut = elideMiddle("0123456789abcdef", 10);
  EXPECT_LE(cut.size(), 10 + std::string_view("…").size());
  EXPECT_TRUE(cut.starts_with("01") && cut.ends_with("ef")) << cut;
  EXPECT_NE(cut.find("…"), std::string::npos) << cut;
  // No character is cut in two, wherever the cut is.
  std::string text;
  for (int i = 0; i < 100; ++i) text += "aé€😀";
  for (size_t most = 0; most < text.size(); ++most) {
    auto some = elideMiddle(text, most);
    EXPECT_LE(some.size(), most + std::string_view("…").size());
    EXPECT_EQ(escapeForTerminal(some), some) << most;
  }
}

TEST(Text, escapesBeforeItShortens) {
  EXPECT_EQ(escapeBriefly("a\nb", 10), "a\\nb");
  // Escaped text is longer, and no escape is cut in two.
  std::string text;
  for (int i = 0; i < 50; ++i) text += "a\x1b\xff\\\n€";
  for (size_t most = 0; most < 200; ++most) {
    auto some = escapeBriefly(text, most);
    EXPECT_LE(some.size(), most + std::string_view("…").size());
    auto middle = some.find("…");
    ASSERT_NE(middle, std::string::npos);
    auto whole = escapeForTerminal(text);
    auto head = some.substr(0, middle), tail = some.substr(middle + std::string_view("…").size());
    EXPECT_TRUE(whole.starts_with(head) && whole.ends_with(tail)) << most;
    for (auto& part : {head, tail}) {
      size_t backslashes = 0;
      for (size_t at = 0; at < part.size(); ++at) {
        if (part[at] != '\\') continue;
        at += part[at + 1] == 'x' ? 3 : 1;
        ++backslashes;
        EXPECT_LT(at, part.size()) << most << ": " << part;
      }
      EXPECT_TRUE(part.empty() || part[0] != 'x') << most << ": " << part;
    }
  }
}

TEST(Text, headsAndTailsEndAtCharacters) {
  std::string text = "aé€😀\xff\xe2\x82z";
  EXPECT_EQ(headOf(text, 100), text);
  EXPECT_EQ(tailOf(text, 100), text);
  for (auto [most, head] :
       {std::pair{0, ""}, {1, "a"}, {2, "a"}, {3, "aé"}, {5, "aé"}, {6, "aé€"}}) {
    EXPECT_EQ(headOf(text, size_t(most)), head) << most;
  }
  for (auto [most, tail] :
       {std::pair{0, ""}, {1, "z"}, {2, "\x82z"}, {4, "\xff\xe2\x82z"}, {5, "\xff\xe2\x82z"}}) {
    EXPECT_EQ(tailOf(text, size_t(most)), tail) << most;
  }
}

TEST(Text, escapesTerminalControls) {
  struct Case {
    std::string_view text, escaped;
  };
  for (auto& [text, escaped] : {
           Case{"", ""},
           {"plain text ~!", "plain text ~!"},
           {"a\nb\tc\rd", "a\\nb\\tc\\x0dd"},
           {std::string_view("\0", 1), "\\x00"},
           {"\x1b[2J", "\\x1b[2J"},
           {"\x7f", "\\x7f"},
           {"back\\slash \\x1b", "back\\\\slash \\\\x1b"},
           // C1: U+009B is CSI, also as a single byte.
           {"\xc2\x9b"
            "2J",
            "\\xc2\\x9b2J"},
           {"\x9b"
            "2J",
            "\\x9b2J"},
           {"\xc2\xa0", "\xc2\xa0"},
           // Not UTF-8: truncated, stray, overlong, surrogate, beyond U+10FFFF.
           {"\xc3", "\\xc3"},
           {"\xe2\x82", "\\xe2\\x82"},
           {"\x80x", "\\x80x"},
           {"\xff\xfe", "\\xff\\xfe"},
           {"\xc0\x9b", "\\xc0\\x9b"},
           {"\xe0\x80\x9b", "\\xe0\\x80\\x9b"},
           {"\xf0\x80\x80\x9b", "\\xf0\\x80\\x80\\x9b"},
           {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
           {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
           {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},
           {"\xc3(", "\\xc3("},
           // Line separators, bidi overrides and isolates.
           {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},
           {"\xe2\x80\xae"
            "gpj",
            "\\xe2\\x80\\xaegpj"},
           {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},
           {"\xe2\x81\xa9", "\\xe2\\x81\\xa9"},
           // Unchanged.
           {"grüße €𝄞 日本", "grüße €𝄞 日本"},
       }) {
    EXPECT_EQ(escapeForTerminal(text), escaped);
  }
}

TEST(Text, bytes) {
  struct Case {
    uint64_t bytes;
    const char* text;
  };
  for (auto [bytes, text] : {
           Case{0, "0 B"},
           {1, "1 B"},
           {1023, "1023 B"},
           {1024, "1.0 KB"},
           {1536, "1.5 KB"},
           {38 * 1024, "38 KB"},
           {10 * 1024 - 1, "10 KB"},
           {1000 * 1024, "1000 KB"},
           {1023 * 1024, "1023 KB"},
           {1024 * 1024 - 500, "1.0 MB"},  // 1023.5 KB, which does not round to 1024 KB
           {1024 * 1024 - 1, "1.0 MB"},
           {1288490189, "1.2 GB"},
           {UINT64_MAX, "16 EB"},
       }) {
    EXPECT_EQ(formatBytes(bytes), text) << bytes;
  }
}

TEST(Text, time) {
  EXPECT_EQ(formatTime(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(formatTime(1769860800 * SECOND + 999'999'999), "2026-01-31T12:00:00Z");
}

TEST(Text, shellQuoteSurvivesAShell) {
  EXPECT_EQ(shellQuote("/usr/bin/pi-brain-agent"), "/usr/bin/pi-brain-agent");
  EXPECT_EQ(shellQuote("--root=/a b"), "'--root=/a b'");
  EXPECT_EQ(shellQuote("it's"), "'it'\"'\"'s'");
  EXPECT_EQ(escapeForTerminal(shellQuote("it's")), shellQuote("it's"));
  for (std::string path : {"", "~", "a b", "it's", "''", "$HOME", "`id`", "a\\b", "a\"b", "x\ny",
                           "*", "!x", "a;b", "a&b", "(x)", "{a,b}", "#c", "\xff", "ü"}) {
    auto command = "printf %s " + shellQuote(path);
    auto output = runProgram({"/bin/sh", "-c", command}, std::chrono::seconds(10));
    EXPECT_EQ(output.out, path) << command;
  }
}

}  // namespace
}  // namespace pibrain
