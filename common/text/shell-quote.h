#pragma once

#include <string>
#include <string_view>

namespace pibrain {

// `path` in quotes for a POSIX shell, bare if it needs none. Behind escapeForTerminal() it can
// still be pasted, unless `path` has control characters, backslashes or invalid UTF-8 in it.
std::string shellQuote(std::string_view path);

}  // namespace pibrain
