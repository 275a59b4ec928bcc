#pragma once

#include <string>
#include <unordered_set>

namespace pibrain {

// rsync keeps each version that it replaces. Of a file that grew, the mirror still has the old one:
// it is the beginning of the new. Removes those from the directory `replaced`, with the directories
// in it that are empty then, and returns the paths of all others. What cannot be compared stays.
std::unordered_set<std::string> dropGrown(const std::string& replaced, const std::string& mirror);

}  // namespace pibrain
