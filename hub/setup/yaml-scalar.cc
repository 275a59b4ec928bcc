#include "hub/setup/yaml-scalar.h"

#include <absl/strings/ascii.h>
#include <stdint.h>
#include <stdio.h>

#include <algorithm>

#include "common/text/utf8.h"

namespace pibrain {

namespace {

// Returns whether some reader takes the word for a truth value (YAML 1.1) or null.
bool isWord(std::string_view text) {
  constexpr std::string_view WORDS[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
  auto word = absl::AsciiStrToLower(std::string(text));
  return std::find(std::begin(WORDS), std::end(WORDS), word) != std::end(WORDS);
}

// Returns whether every YAML reader understands the text without quotes. Readers differ in what
// they need quotes for, so this accepts only texts that begin like a word or a path, and contain no
// character that has a meaning anywhere. Numbers and times begin with a digit, a sign or a dot.
bool isPlain(std::string_view text) {
  auto ordinary = [](char c) {
    return absl::ascii_isalnum(uint8_t(c)) ||
           std::string_view("_./~@:+ -").find(c) != std::string_view::npos;
  };
  bool begins = !text.empty() &&
                (absl::ascii_isalpha(uint8_t(text[0])) || text[0] == '/' || text.starts_with("~/"));
  return begins && std::all_of(text.begin(), text.end(), ordinary) && !text.ends_with(' ') &&
         !text.ends_with(':') && text.find(": ") == text.npos && !isWord(text);
}

// Returns whether the character must be escaped: controls, line ends and blanks beyond ASCII, byte
// order marks, and code points that are not characters.
bool needsEscape(uint32_t code) {
  return isControl(code) || isOddBlank(code) || (code & 0xfffe) == 0xfffe;
}

}  // namespace

std::string yamlScalar(std::string_view text) {
  if (isPlain(text)) return std::string(text);
  std::string out = "\"";
  for (size_t length; !text.empty(); text.remove_prefix(length)) {
    auto character = firstCharacter(text);
    length = stepOf(text);
    if (text[0] == '"' || text[0] == '\\') out += '\\';
    if (!needsEscape(character.code)) {
      out += text.substr(0, length);
      continue;
    }
    char escaped[12];
    auto* format = character.code <= 0xff     ? "\\x%02X"
                   : character.code <= 0xffff ? "\\u%04X"
                                              : "\\U%08X";
    snprintf(escaped, sizeof(escaped), format, unsigned(character.code));
    out += escaped;
  }
  return out + '"';
}

}  // namespace pibrain
