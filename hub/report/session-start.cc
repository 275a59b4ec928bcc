#include "hub/report/session-start.h"

#include <stdint.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

#include "common/text/escape.h"

namespace pibrain {

namespace {

// pi nests much less deeply, so a line is not read beyond this depth.
constexpr size_t MAX_DEPTH = 32;

void appendUtf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xc0 | code >> 6);
    out += char(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += char(0xe0 | code >> 12);
    out += char(0x80 | (code >> 6 & 0x3f));
    out += char(0x80 | (code & 0x3f));
  } else {
    out += char(0xf0 | code >> 18);
    out += char(0x80 | (code >> 12 & 0x3f));
    out += char(0x80 | (code >> 6 & 0x3f));
    out += char(0x80 | (code & 0x3f));
  }
}

std::optional<uint32_t> fourDigits(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t code = 0;
  for (char c : text.substr(0, 4)) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return std::nullopt;
    code = code << 4 | uint32_t(digit);
  }
  return code;
}

// Takes from `escaped` the character whose "\\u" is before it, with a second escape if the two are
// a surrogate pair. Returns U+FFFD if it is invalid.
uint32_t takeCodePoint(std::string_view& escaped) {
  constexpr uint32_t NONE = 0xfffd;
  auto first = fourDigits(escaped);
  if (!first && escaped.size() < 4) escaped = {};  // cut off
  if (!first) return NONE;
  escaped.remove_prefix(4);
  if (*first < 0xd800 || *first > 0xdfff) return *first;
  auto second = escaped.starts_with("\\u") ? fourDigits(escaped.substr(2)) : std::nullopt;
  if (*first > 0xdbff || !second || *second < 0xdc00 || *second > 0xdfff) return NONE;
  escaped.remove_prefix(6);
  return 0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00);
}

// Returns what a JSON string, given without its quotes, stands for; not much more than `most` bytes
// of it.
std::string unescaped(std::string_view text, size_t most) {
  std::string out;
  while (!text.empty() && out.size() < most) {
    char c = text.front();
    text.remove_prefix(1);
    if (c != '\\' || text.empty()) {
      if (c != '\\') out += c;
      continue;
    }
    c = text.front();
    text.remove_prefix(1);
    switch (c) {
      case 'u':
        appendUtf8(takeCodePoint(text), out);
        break;
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        out += ' ';
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Goes through the strings among the values of one line of JSON, in order, without unescaping them.
// The line may be cut off, and its syntax is not checked.
class StringsOf {
 public:
  explicit StringsOf(std::string_view line) : rest_(line) {}

  // Moves to the next string; returns false if there is none.
  bool next() {
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '{' || c == '[') {
        if (keys_.size() == MAX_DEPTH) return false;
        keys_.push_back({});
      } else if (c == '}' || c == ']') {
        if (keys_.empty()) return false;
        keys_.pop_back();
      } else if (c == '"') {
        if (keys_.empty()) return false;
        takeString();
        if (!takeColon()) return true;
        keys_.back() = value_;
      }
    }
    return false;
  }

  std::string_view value() const { return value_; }
  // Returns whether these keys lead to the string. An array has "" in place of a key.
  bool isAt(std::initializer_list<std::string_view> keys) const {
    return std::equal(keys_.begin(), keys_.end(), keys.begin(), keys.end());
  }

 private:
  void takeString() {
    size_t end = 0;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
    end = std::min(end, rest_.size());
    value_ = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
  }

  bool takeColon() {
    auto at = rest_.find_first_not_of(" \t\r");
    if (at == std::string_view::npos || rest_[at] != ':') return false;
    rest_.remove_prefix(at + 1);
    return true;
  }

  std::string_view rest_, value_;
  std::vector<std::string_view> keys_;
};

// Returns the beginning of a JSON string in one line, in which blanks, line ends and controls
// become one blank.
std::string firstWords(std::string_view text) {
  std::string words;
  for (char c : unescaped(text, 4 * SessionStart::MAX_TITLE)) {
    bool blank = uint8_t(c) <= ' ';
    if (!blank) {
      words += c;
    } else if (!words.empty() && words.back() != ' ') {
      words += ' ';
    }
  }
  if (!words.empty() && words.back() == ' ') words.pop_back();
  if (words.size() <= SessionStart::MAX_TITLE) return words;
  return std::string(headOf(words, SessionStart::MAX_TITLE)) + "…";
}

// Returns the text of the user's message in this line; empty if the line is not one. Reads the line
// to its end, since the keys that tell may come after the text.
std::string titleIn(std::string_view line) {
  bool message = false, user = false;
  std::string title;
  for (StringsOf strings(line); strings.next();) {
    if (strings.isAt({"type"})) message = strings.value() == "message";
    if (strings.isAt({"message", "role"})) user = strings.value() == "user";
    bool content =
        strings.isAt({"message", "content"}) || strings.isAt({"message", "content", "", "text"});
    if (content && title.empty()) title = firstWords(strings.value());
  }
  return message && user ? title : "";
}

}  // namespace

SessionStart readSessionStart(std::string_view beginning) {
  constexpr size_t MAX_PATH_BYTES = 4096;
  SessionStart start;
  for (bool first = true; !beginning.empty() && start.title.empty(); first = false) {
    auto line = beginning.substr(0, beginning.find('\n'));
    beginning.remove_prefix(std::min(line.size() + 1, beginning.size()));
    start.title = titleIn(line);
    if (!first) continue;
    for (StringsOf strings(line); strings.next();) {
      if (strings.isAt({"cwd"})) start.directory = unescaped(strings.value(), MAX_PATH_BYTES);
    }
  }
  return start;
}

}  // namespace pibrain
