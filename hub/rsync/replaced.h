#pragma once

#include <string>
#include <unordered_set>

namespace pibrain {

// rsync keeps each version that it replaces, but the new version of a grown file contains the old
// one. Removes such old versions from the directory `replaced`, and directories that are then
// empty; returns the paths of all others. Files that cannot be compared stay.
std::unordered_set<std::string> dropGrown(const std::string& replaced, const std::string& mirror);

}  // namespace pibrain
