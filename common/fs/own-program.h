#pragma once

#include <string>

namespace pibrain {

// Returns the path of the running program, without symlinks, even where no /proc is mounted. Empty
// if it cannot be determined.
std::string ownProgram();

}  // namespace pibrain
