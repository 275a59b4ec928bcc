#pragma once

#include <string>

namespace pibrain {

// Returns whether the path is "~", or begins with "~/".
bool beginsWithTilde(const std::string& path);

// Returns the path with `home` in place of such a "~"; any other path unchanged.
std::string expandTilde(const std::string& path, const std::string& home);

}  // namespace pibrain
