#pragma once

#include <string>
#include <string_view>

namespace pibrain {

// Returns `path` in single quotes for a POSIX shell; bare if it needs none.
std::string shellQuote(std::string_view path);

}  // namespace pibrain
