#include "common/text/exclusions.h"

#include <stdint.h>

#include <algorithm>

namespace pibrain {

namespace {

constexpr std::string_view ANY_DIRECTORIES = "**";

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  for (size_t end; (end = path.find('/')) != path.npos; path.remove_prefix(end + 1)) {
    parts.emplace_back(path.substr(0, end));
  }
  parts.emplace_back(path);
  return parts;
}

// Returns the position after the ']' of the "[…]" that begins at `at`; npos: it has no end.
size_t endOfClass(std::string_view pattern, size_t at) {
  size_t i = at + 1;
  if (i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^')) ++i;
  // A first ']' is one of the characters.
  for (bool first = true; i < pattern.size(); ++i, first = false) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == ']' && !first) {
      return i + 1;
    }
  }
  return pattern.npos;
}

// Returns whether the class `text`, "[…]", has this character.
bool classHas(std::string_view text, char c) {
  text = text.substr(1, text.size() - 2);
  bool inverted = text.starts_with('!') || text.starts_with('^');
  if (inverted) text.remove_prefix(1);
  auto take = [&]() {
    if (text.size() > 1 && text[0] == '\\') text.remove_prefix(1);
    auto taken = uint8_t(text[0]);
    text.remove_prefix(1);
    return taken;
  };
  bool found = false;
  while (!text.empty()) {
    uint8_t first = take(), last = first;
    if (text.size() > 1 && text[0] == '-') {
      text.remove_prefix(1);
      last = take();
    }
    found |= first <= uint8_t(c) && uint8_t(c) <= last;
  }
  return found != inverted;
}

// Returns the length of the pattern's first part that stands for one character, if it matches; else
// 0.
size_t matchOne(std::string_view pattern, char c) {
  if (pattern.empty()) return 0;
  if (pattern[0] == '?') return 1;
  if (pattern[0] == '[') {
    auto end = endOfClass(pattern, 0);
    return classHas(pattern.substr(0, end), c) ? end : 0;
  }
  bool quoted = pattern[0] == '\\' && pattern.size() > 1;
  return pattern[quoted ? 1 : 0] == c ? (quoted ? 2 : 1) : 0;
}

// Matches one name. Only the last '*' is tried again with more characters, so there are at most as
// many steps as pattern length times name length.
bool matchName(std::string_view pattern, std::string_view name) {
  std::string_view afterStar, rest;
  bool star = false;
  while (!name.empty()) {
    if (pattern.starts_with('*')) {
      while (pattern.starts_with('*')) pattern.remove_prefix(1);
      star = true;
      afterStar = pattern;
      rest = name;
    } else if (auto length = matchOne(pattern, name[0])) {
      pattern.remove_prefix(length);
      name.remove_prefix(1);
    } else if (star) {
      pattern = afterStar;
      rest.remove_prefix(1);
      name = rest;
    } else {
      return false;
    }
  }
  while (pattern.starts_with('*')) pattern.remove_prefix(1);
  return pattern.empty();
}

// Matches a path, part by part: reached[i] is whether the first i parts of the pattern match the
// path as far as it was read.
bool matchPath(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  std::vector<bool> reached(pattern.size() + 1);
  reached[0] = true;
  auto skipDirectories = [&]() {
    for (size_t i = 0; i < pattern.size(); ++i) {
      // A last "**" stands for what is in a directory, not for the directory.
      bool last = i + 1 == pattern.size();
      if (pattern[i] == ANY_DIRECTORIES && !last && reached[i]) reached[i + 1] = true;
    }
  };
  skipDirectories();
  for (auto& name : path) {
    std::vector<bool> next(pattern.size() + 1);
    for (size_t i = 0; i < pattern.size(); ++i) {
      if (!reached[i]) continue;
      if (pattern[i] == ANY_DIRECTORIES) {
        next[i] = true;
        if (i + 1 == pattern.size()) next[i + 1] = true;
      } else if (matchName(pattern[i], name)) {
        next[i + 1] = true;
      }
    }
    reached = next;
    skipDirectories();
  }
  return reached[pattern.size()];
}

}  // namespace

std::optional<std::string> Exclusions::whyNot(std::string_view pattern) {
  if (pattern.empty() || pattern == "/") return "it is empty";
  if (pattern.size() > MAX_LENGTH) return "it is longer than 1000 bytes";
  if (pattern[0] == '!') {
    return "'!' cannot re-include anything; for a name that begins with '!', write '\\!'";
  }
  if (std::any_of(pattern.begin(), pattern.end(),
                  [](char c) { return uint8_t(c) < 0x20 || c == 0x7f; })) {
    return "it contains a control character";
  }
  if (pattern.find("//") != pattern.npos) return "it contains '//', but no name is empty";
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && ++i == pattern.size()) return "nothing follows its last '\\'";
    if (pattern[i] != '[') continue;
    auto end = endOfClass(pattern, i);
    if (end == pattern.npos) return "its '[' has no ']'; for a name with a '[', write '\\['";
    if (pattern.substr(i, end - i).find('/') != pattern.npos) return "its '[…]' contains a '/'";
    i = end - 1;
  }
  auto parts = split(pattern);
  if (std::any_of(parts.begin(), parts.end(),
                  [](auto& part) { return part == "." || part == ".."; })) {
    return "no name is '.' or '..': write the path from the root";
  }
  return std::nullopt;
}

Exclusions::Exclusions(const std::vector<std::string>& patterns) {
  for (std::string_view text : patterns) {
    if (whyNot(text) || patterns_.size() == MAX_PATTERNS) continue;
    auto& pattern = patterns_.emplace_back();
    pattern.onlyDirectories = text.ends_with('/');
    if (pattern.onlyDirectories) text.remove_suffix(1);
    pattern.anywhere = text.find('/') == text.npos;
    if (text.starts_with('/')) text.remove_prefix(1);
    pattern.parts = split(text);
  }
}

bool Exclusions::match(std::string_view path, bool isDirectory) const {
  if (patterns_.empty()) return false;
  auto parts = split(path);
  return std::any_of(patterns_.begin(), patterns_.end(), [&](auto& pattern) {
    if (pattern.onlyDirectories && !isDirectory) return false;
    return pattern.anywhere ? matchName(pattern.parts[0], parts.back())
                            : matchPath(pattern.parts, parts);
  });
}

bool Exclusions::cover(std::string_view path, bool isDirectory) const {
  if (patterns_.empty()) return false;
  for (auto end = path.find('/'); end != path.npos; end = path.find('/', end + 1)) {
    if (match(path.substr(0, end), true)) return true;
  }
  return match(path, isDirectory);
}

}  // namespace pibrain
