#pragma once
// Names of files and what peers say are bytes; terminals and JSON want UTF-8. Nothing else in this
// program decodes it.

#include <stddef.h>
#include <stdint.h>

#include <optional>
#include <string>
#include <string_view>

namespace pibrain {

struct Character {
  uint32_t code;  // 0 if there is none
  size_t length;  // in bytes; 0: there is none
};

// The character that `bytes` begin with, by RFC 3629: overlong forms, surrogates and what lies
// beyond U+10FFFF are none.
Character firstCharacter(std::string_view bytes);

// How far the next character is: a byte that begins none counts as one.
size_t stepOf(std::string_view bytes);

// What a terminal may obey: C0 and C1 controls, and line and bidi controls.
bool isControl(uint32_t code);

// Blanks beyond ASCII, and what cannot be seen. They come with text that was copied from a page.
bool isOddBlank(uint32_t code);

bool anyCharacter(std::string_view bytes, bool (*wanted)(uint32_t code));

bool isUtf8(std::string_view bytes);

// Each byte that belongs to no character becomes U+FFFD, so that different bytes may look the same.
std::string toUtf8(std::string_view bytes);

// The exact bytes, as RFC 3986 writes them in a path: all but letters, digits and "-._~/" as %XX.
std::string percentEncode(std::string_view bytes);
// What that was made of; nullopt if a '%' has no two hexadecimal digits behind it.
std::optional<std::string> percentDecode(std::string_view text);

// How a path is written of which not all bytes can be typed: this, and the path percent-encoded.
inline constexpr std::string_view EXACT_PATH = "bytes:";
// The path that `text` names, in this form or as it is; nullopt if that is no path.
std::optional<std::string> readExactPath(std::string_view text);

}  // namespace pibrain
