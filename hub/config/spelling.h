#pragma once
// The distance between a word and the one that was meant.

#include <stddef.h>

#include <string>
#include <string_view>

namespace pibrain {

// Returns the Levenshtein distance: how many bytes to insert, remove or replace.
size_t editDistance(std::string_view a, std::string_view b);

// Returns whether the word may be a misspelling of the other.
bool isLike(std::string word, std::string meant);

}  // namespace pibrain
