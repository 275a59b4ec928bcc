#pragma once

#include <string>
#include <string_view>

namespace pibrain {

// Returns `path` in quotes for a POSIX shell; bare if it needs none. It can still be pasted after
// escapeForTerminal(), unless `path` has control characters, backslashes or invalid UTF-8 in it.
std::string shellQuote(std::string_view path);

// The same for a path, of which a shell still expands "~" at the beginning.
std::string shellQuotePath(std::string_view path);

}  // namespace pibrain
