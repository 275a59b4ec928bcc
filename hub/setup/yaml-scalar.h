#pragma once
// Texts in a YAML file that other programs read too. What is plain to yaml-cpp is a number, a truth
// value, a time or a mistake to others, and YAML 1.1 and 1.2 differ in that.

#include <string>
#include <string_view>

namespace pibrain {

// The text as every reader of YAML takes it for this text: as it is, or in double quotes. It has to
// be UTF-8.
std::string yamlScalar(std::string_view text);

}  // namespace pibrain
