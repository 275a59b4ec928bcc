#pragma once
// File names and peers' texts are bytes; terminals and JSON need UTF-8. This is the only decoder of
// UTF-8 in the program.

#include <stddef.h>
#include <stdint.h>

#include <optional>
#include <string>
#include <string_view>

namespace pibrain {

struct Character {
  uint32_t code;  // 0 if there is no character
  size_t length;  // in bytes; 0: there is no character
};

// Returns the character at the beginning of `bytes`, by RFC 3629: overlong forms, surrogates and
// codes beyond U+10FFFF are not characters.
Character firstCharacter(std::string_view bytes);

// Returns the distance to the next character. A byte that begins no character counts as one.
size_t stepOf(std::string_view bytes);

// Returns whether a terminal may obey the character: C0 and C1, line and bidi controls.
bool isControl(uint32_t code);

// Returns whether it is a blank beyond ASCII, or invisible; both come with text copied from a web
// page.
bool isOddBlank(uint32_t code);

bool anyCharacter(std::string_view bytes, bool (*wanted)(uint32_t code));

bool isUtf8(std::string_view bytes);

// Returns UTF-8: each byte that belongs to no character becomes U+FFFD, so different bytes may look
// the same.
std::string toUtf8(std::string_view bytes);

// Returns the exact bytes as RFC 3986 writes them in a path: all but letters, digits and "-._~/" as
// %XX.
std::string percentEncode(std::string_view bytes);
// Returns the bytes that were encoded; nullopt if a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percentDecode(std::string_view text);

// Marks a path that is percent-encoded, since not all of its bytes can be typed.
inline constexpr std::string_view EXACT_PATH = "bytes:";
// Returns the path that `text` names, in this form or literally; nullopt if it is not a path.
std::optional<std::string> readExactPath(std::string_view text);

}  // namespace pibrain
