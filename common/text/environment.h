#pragma once

#include <string>

namespace pibrain {

// The value of a variable of the environment; empty if it is not set.
std::string environment(const char* name);

}  // namespace pibrain
