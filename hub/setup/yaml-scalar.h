#pragma once
// Writes strings to a YAML file that other programs read too. What yaml-cpp reads as a plain string
// can be a number, a truth value, a time or a mistake to others, and YAML 1.1 and 1.2 differ here.

#include <string>
#include <string_view>

namespace pibrain {

// Returns the string as every YAML reader understands it: unchanged, or in double quotes. It must
// be UTF-8.
std::string yamlScalar(std::string_view text);

}  // namespace pibrain
