#pragma once

#include <string>

namespace pibrain {

// Returns an environment variable's value; empty if it is not set.
std::string environment(const char* name);

}  // namespace pibrain
