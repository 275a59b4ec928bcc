#include "common/text/utf8.h"

#include <gtest/gtest.h>

#include <set>

namespace pibrain {
namespace {

const std::string REPLACEMENT = "\xef\xbf\xbd";

// The first and the last character of each length, and those around the gaps.
TEST(Utf8, characters) {
  struct Case {
    std::string_view bytes;
    uint32_t code;
  };
  for (auto& [bytes, code] : {Case{std::string_view("\0", 1), 0},
                              {"a", 'a'},
                              {"\x7f", 0x7f},
                              {"\xc2\x80", 0x80},
                              {"\xdf\xbf", 0x7ff},
                              {"\xe0\xa0\x80", 0x800},
                              {"\xed\x9f\xbf", 0xd7ff},
                              {"\xee\x80\x80", 0xe000},
                              {"\xef\xbf\xbf", 0xffff},
                              {"\xf0\x90\x80\x80", 0x10000},
                              {"\xf4\x8f\xbf\xbf", 0x10ffff}}) {
    auto character = firstCharacter(bytes);
    EXPECT_EQ(character.code, code);
    EXPECT_EQ(character.length, bytes.size()) << code;
    EXPECT_EQ(firstCharacter(std::string(bytes) + "\xff").length, bytes.size()) << code;
    EXPECT_EQ(stepOf(bytes), bytes.size()) << code;
    EXPECT_TRUE(isUtf8(bytes)) << code;
    EXPECT_EQ(toUtf8(bytes), bytes);
    // Truncated, it is not a character.
    for (size_t length = 1; length < bytes.size(); ++length) {
      EXPECT_EQ(firstCharacter(bytes.substr(0, length)).length, 0u) << code;
    }
  }
}

TEST(Utf8, invalidSequences) {
  for (std::string_view bytes : {"\x80", "\xbf", "\xc3", "\xc3(", "\xe2\x82", "\xff", "\xfe",
                                 // overlong
                                 "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf",
                                 "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf",
                                 // surrogates
                                 "\xed\xa0\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbf\xbf",
                                 // beyond U+10FFFF
                                 "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_EQ(firstCharacter(bytes).length, 0u) << percentEncode(bytes);
    EXPECT_EQ(stepOf(bytes), 1u);
    EXPECT_FALSE(isUtf8(bytes));
    EXPECT_FALSE(isUtf8("é" + std::string(bytes)));
    // Each of its bytes is replaced, and nothing else.
    auto replaced = toUtf8("é" + std::string(bytes) + "€");
    EXPECT_TRUE(isUtf8(replaced)) << percentEncode(bytes);
    EXPECT_TRUE(replaced.starts_with("é" + REPLACEMENT) && replaced.ends_with("€")) << replaced;
  }
  EXPECT_EQ(toUtf8("\xed\xa0\x80"), REPLACEMENT + REPLACEMENT + REPLACEMENT);
  EXPECT_EQ(toUtf8("\xc3("), REPLACEMENT + "(");
  EXPECT_EQ(firstCharacter("").length, 0u);
  EXPECT_TRUE(isUtf8(""));
  EXPECT_EQ(toUtf8(""), "");
}

TEST(Utf8, controls) {
  for (uint32_t code :
       {0u, 0x1bu, 0x1fu, 0x7fu, 0x80u, 0x9bu, 0x9fu, 0x2028u, 0x202eu, 0x2066u, 0x2069u}) {
    EXPECT_TRUE(isControl(code)) << code;
  }
  for (uint32_t code : {0x20u, 0x7eu, 0xa0u, 0x2027u, 0x202fu, 0x2065u, 0x206au, 0x10ffffu}) {
    EXPECT_FALSE(isControl(code)) << code;
  }
}

TEST(Utf8, percentEncodingIsExact) {
  EXPECT_EQ(percentEncode("--p--/a_b.~C9"), "--p--/a_b.~C9");
  EXPECT_EQ(percentEncode("a b%\xff\x0a\xc3\xa9"), "a%20b%25%FF%0A%C3%A9");
  std::set<std::string> seen;
  for (int i = 0; i < 256; ++i) {
    std::string byte(1, char(i));
    auto encoded = percentEncode(byte);
    EXPECT_TRUE(seen.insert(encoded).second) << i;
    EXPECT_EQ(percentDecode(encoded), byte) << i;
  }
  EXPECT_EQ(percentDecode("%ff%Fe/plain text"), "\xff\xfe/plain text");
  EXPECT_EQ(percentDecode(""), "");
  for (auto* text : {"%", "%F", "a%", "%G0", "%0G", "%%41", "% 41", "%+1"}) {
    EXPECT_EQ(percentDecode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace pibrain
