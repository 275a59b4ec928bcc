#pragma once
// Text that others chose, safe to show and of a bounded length.

#include <string>
#include <string_view>

namespace pibrain {

// `text` with control characters, invalid UTF-8 and a backslash written as \n, \x1b, …: safe to
// print on a terminal, whoever chose it.
std::string escapeForTerminal(std::string_view text);
// The same in single quotes.
std::string inQuotes(std::string_view text);

// `text`, but with "…" in place of its middle if it has more than `most` bytes: it keeps that many,
// or a few less, so that no UTF-8 sequence is cut in two.
std::string elideMiddle(std::string_view text, size_t most);

// escapeForTerminal(text), of `most` bytes at most, but for the "…": no escape is cut in two
// either.
std::string escapeBriefly(std::string_view text, size_t most = 300);

// The beginning of `text`, and its end: at most `most` bytes, and no UTF-8 sequence is cut in two.
std::string_view headOf(std::string_view text, size_t most);
std::string_view tailOf(std::string_view text, size_t most);

// `text` without the blanks, line ends and full stops that it ends in, to be put into a sentence.
std::string withoutFullStop(std::string_view text);

}  // namespace pibrain
