#pragma once

#include <string>

namespace pibrain {

// The path of the program that runs, without symlinks; also where no /proc is mounted. Empty if it
// cannot be known.
std::string ownProgram();

}  // namespace pibrain
