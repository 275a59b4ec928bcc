#pragma once

#include <optional>
#include <string>

namespace pibrain {

// Asks a person at the terminal for a secret, without showing what is typed. One thread asks at a
// time. nullopt if there is no terminal, or the input ended.
std::optional<std::string> askSecret(const std::string& prompt);

}  // namespace pibrain
