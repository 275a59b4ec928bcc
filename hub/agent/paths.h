#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "common/fs/rooted-dir.h"

namespace pibrain {

// Paths relative to the mirror.
using Paths = std::unordered_set<std::string>;

// Returns the directories that contain these.
inline Paths parentsOf(const Paths& paths) {
  Paths parents;
  for (auto& path : paths) parents.emplace(parentOf(path));
  return parents;
}

// Returns whether the path is one of these directories, or beneath one.
inline bool isWithin(std::string_view path, const Paths& directories) {
  for (; !directories.empty() && !path.empty(); path = parentOf(path)) {
    if (directories.contains(std::string(path))) return true;
  }
  return false;
}

}  // namespace pibrain
