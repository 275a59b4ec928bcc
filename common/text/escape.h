#pragma once
// Makes untrusted text safe to print, and limits its length.

#include <string>
#include <string_view>

namespace pibrain {

// Returns `text` with control characters, invalid UTF-8 and backslashes written as \n, \x1b, …:
// safe to print on a terminal.
std::string escapeForTerminal(std::string_view text);
// The same in single quotes.
std::string inQuotes(std::string_view text);

// Returns `text`, with "…" in place of its middle if it is longer than `most` bytes. It keeps that
// many, or a few less, so that no UTF-8 sequence is cut in two.
std::string elideMiddle(std::string_view text, size_t most);

// Returns escapeForTerminal(text) in at most `most` bytes, not counting the "…". It cuts no escape
// in two either.
std::string escapeBriefly(std::string_view text, size_t most = 300);

// Return the beginning of `text`, and its end: at most `most` bytes, no UTF-8 sequence cut in two.
std::string_view headOf(std::string_view text, size_t most);
std::string_view tailOf(std::string_view text, size_t most);

// Returns `text` without the blanks, line ends and full stops at its end, to be put into a
// sentence.
std::string withoutFullStop(std::string_view text);

}  // namespace pibrain
