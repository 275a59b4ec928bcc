#include "common/text/utf8.h"

#include <stdio.h>

namespace pibrain {

namespace {

// Returns whether a URI has this ASCII character unencoded (RFC 3986, section 2.3).
bool isUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~/").find(c) != std::string_view::npos;
}

// Returns -1 if it is not a hexadecimal digit.
int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Character firstCharacter(std::string_view bytes) {
  constexpr Character NONE = {0, 0};
  if (bytes.empty()) return NONE;
  auto byte = [&](size_t i) { return uint8_t(bytes[i]); };
  auto first = byte(0);
  if (first < 0x80) return {first, 1};
  size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                  : first >= 0xe0 && first <= 0xef ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
  if (length == 0 || bytes.size() < length) return NONE;
  uint32_t code = first & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return NONE;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t SMALLEST[] = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < SMALLEST[length] || code > 0x10ffff || surrogate) return NONE;
  return {code, length};
}

size_t stepOf(std::string_view bytes) {
  size_t length = firstCharacter(bytes).length;
  return length > 0 ? length : 1;
}

bool isControl(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

bool isOddBlank(uint32_t code) {
  return code == 0xa0 || code == 0xad || (code >= 0x2000 && code <= 0x200f) || code == 0x202f ||
         (code >= 0x205f && code <= 0x2064) || code == 0x3000 || code == 0xfeff;
}

bool anyCharacter(std::string_view bytes, bool (*wanted)(uint32_t code)) {
  while (!bytes.empty()) {
    auto character = firstCharacter(bytes);
    if (character.length > 0 && wanted(character.code)) return true;
    bytes.remove_prefix(stepOf(bytes));
  }
  return false;
}

bool isUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t length = firstCharacter(bytes).length;
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string toUtf8(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    size_t length = firstCharacter(bytes).length;
    if (length > 0) {
      out += bytes.substr(0, length);
    } else {
      out += "\xef\xbf\xbd";
    }
    bytes.remove_prefix(length > 0 ? length : 1);
  }
  return out;
}

std::string percentEncode(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    if (isUnreserved(c)) {
      out += c;
    } else {
      char hex[4];
      snprintf(hex, sizeof(hex), "%%%02X", unsigned(uint8_t(c)));
      out += hex;
    }
  }
  return out;
}

std::optional<std::string> percentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    int high = i + 1 < text.size() ? hexDigit(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? hexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += char(high << 4 | low);
    i += 2;
  }
  return out;
}

std::optional<std::string> readExactPath(std::string_view text) {
  if (!text.starts_with(EXACT_PATH)) return std::string(text);
  auto path = percentDecode(text.substr(EXACT_PATH.size()));
  bool good = path && path->find('\0') == std::string::npos;
  return good ? path : std::nullopt;
}

}  // namespace pibrain
