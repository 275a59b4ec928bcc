#include "common/text.h"

#include <stdio.h>
#include <time.h>

namespace pibrain {

namespace {

// The length of the valid, printable UTF-8 sequence at the start of `text`; 0 if there is none.
// C1 controls (U+0080…U+009F) are not printable, nor are line and bidi controls
// (U+2028…U+202E, U+2066…U+2069).
size_t printableSequence(std::string_view text) {
  auto byte = [&](size_t i) { return uint8_t(text[i]); };
  auto first = byte(0);
  if (first >= 0x20 && first < 0x7f) return 1;
  size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                  : first >= 0xe0 && first <= 0xef ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
  if (length == 0 || text.size() < length) return 0;
  uint32_t code = first & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t SMALLEST[] = {0, 0, 0xa0, 0x800, 0x10000};
  if (code < SMALLEST[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  if ((code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)) return 0;
  return length;
}

}  // namespace

std::string escapeForTerminal(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t length = printableSequence(text);
    if (text[0] == '\\') {
      out += "\\\\";
    } else if (length > 0) {
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
    text.remove_prefix(length > 0 ? length : 1);
  }
  return out;
}

std::string shorten(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  auto continues = [&](size_t at) { return at < text.size() && (text[at] & 0xc0) == 0x80; };
  size_t end = text.size() - most / 3, begin = most - most / 3;
  while (begin > 0 && continues(begin)) --begin;
  while (continues(end)) ++end;
  return std::string(text.substr(0, begin)) + "…" + std::string(text.substr(end));
}

std::string formatBytes(uint64_t bytes) {
  const char* units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
  double value = double(bytes);
  size_t unit = 0;
  while (value >= 1023.5 && unit < 6) {
    value /= 1024;
    ++unit;
  }
  char out[32];
  snprintf(out, sizeof(out), unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return out;
}

std::string countOf(uint64_t count, std::string_view thing) {
  return std::to_string(count) + " " + std::string(thing) + (count == 1 ? "" : "s");
}

std::string formatTime(int64_t nanos) {
  time_t seconds = nanos / 1'000'000'000;
  struct tm parts;
  gmtime_r(&seconds, &parts);
  char out[40];
  strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return out;
}

std::string formatAgo(int64_t then, int64_t now) {
  int64_t minutes = (now - then) / 60'000'000'000;
  if (minutes < 1) return "just now";
  if (minutes < 60) return std::to_string(minutes) + "m ago";
  if (minutes < 24 * 60) return std::to_string(minutes / 60) + "h ago";
  return std::to_string(minutes / (24 * 60)) + "d ago";
}

std::string shellQuote(std::string_view path) {
  constexpr std::string_view PLAIN =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./=,:+@%";
  if (!path.empty() && path.find_first_not_of(PLAIN) == std::string_view::npos) {
    return std::string(path);
  }
  std::string out = "'";
  for (char c : path) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace pibrain
