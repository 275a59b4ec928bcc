#pragma once
// Text for people.

#include <stdint.h>

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

// "0 B", "38 KB", "1.2 GB": powers of 1024, at most one decimal.
std::string formatBytes(uint64_t bytes);

// "1 file", "2 files", "0 files".
std::string countOf(uint64_t count, std::string_view thing);

// ISO 8601 in UTC, "2026-01-31T12:00:00Z".
std::string formatTime(int64_t nanos);

// "just now", "5m ago", "3h ago", "2d ago"; both in ns since the epoch.
std::string formatAgo(int64_t then, int64_t now);

// `path` in single quotes for a POSIX shell, bare if it needs none.
std::string shellQuote(std::string_view path);

}  // namespace pibrain
