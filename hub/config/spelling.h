#pragma once
// How far a word is from one that was meant.

#include <stddef.h>

#include <string_view>

namespace pibrain {

// Levenshtein's: so many bytes are to be inserted, removed or replaced to make one the other.
size_t editDistance(std::string_view a, std::string_view b);

}  // namespace pibrain
