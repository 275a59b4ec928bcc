#pragma once

#include <string>

namespace pibrain {

// Whether the path is "~", or begins with "~/".
bool beginsWithTilde(const std::string& path);

// The path with `home` in place of such a "~"; any other path as it is.
std::string expandTilde(const std::string& path, const std::string& home);

}  // namespace pibrain
