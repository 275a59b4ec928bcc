#include "common/text/escape.h"

#include <stdint.h>
#include <stdio.h>

#include "common/text/utf8.h"

namespace pibrain {

std::string escapeForTerminal(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto character = firstCharacter(text);
    bool printable = character.length > 0 && !isControl(character.code);
    size_t length = printable ? character.length : 1;
    if (text[0] == '\\') {
      out += "\\\\";
    } else if (printable) {
      out += text.substr(0, length);
    } else if (text[0] == '\n') {
      out += "\\n";
    } else if (text[0] == '\t') {
      out += "\\t";
    } else {
      char hex[8];
      snprintf(hex, sizeof(hex), "\\x%02x", unsigned(uint8_t(text[0])));
      out += hex;
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string inQuotes(std::string_view text) { return "'" + escapeForTerminal(text) + "'"; }

namespace {

// `step` returns the distance to the next place at which the text may be cut.
std::string cutMiddle(std::string_view text, size_t most, size_t (*step)(std::string_view)) {
  if (text.size() <= most) return std::string(text);
  // The head ends, and the tail begins, at a character's border.
  size_t longestHead = most - most / 3, longestTail = text.size() - most / 3;
  size_t begin = 0, end = 0;
  while (end < longestTail) {
    end += step(text.substr(end));
    if (end <= longestHead) begin = end;
  }
  return std::string(text.substr(0, begin)) + "…" + std::string(text.substr(end));
}

// Like stepOf(), but an escape of escapeForTerminal() is one step: \xNN, or a backslash and a byte.
size_t stepOfEscaped(std::string_view text) {
  if (text[0] != '\\') return stepOf(text);
  return text.starts_with("\\x") ? 4 : 2;
}

}  // namespace

std::string elideMiddle(std::string_view text, size_t most) {
  return cutMiddle(text, most, stepOf);
}

std::string escapeBriefly(std::string_view text, size_t most) {
  return cutMiddle(escapeForTerminal(text), most, stepOfEscaped);
}

std::string_view headOf(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = 0, next = 0;
  while ((next = end + stepOf(text.substr(end))) <= most) end = next;
  return text.substr(0, end);
}

std::string_view tailOf(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  // Steps from the beginning, because the middle of a sequence looks like invalid UTF-8.
  size_t begin = 0;
  while (begin < text.size() - most) begin += stepOf(text.substr(begin));
  return text.substr(begin);
}

std::string withoutFullStop(std::string_view text) {
  return std::string(text.substr(0, text.find_last_not_of(". \t\r\n") + 1));
}

}  // namespace pibrain
