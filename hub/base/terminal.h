#pragma once

#include <mutex>
#include <optional>
#include <string>

namespace pibrain {

// Asks a person at the terminal for a secret, without showing what is typed. One thread asks at a
// time. nullopt if there is no terminal, or the input ended.
std::optional<std::string> askSecret(const std::string& prompt);

// Holds the terminal, so that nobody is asked meanwhile; not owned if somebody is being asked.
std::unique_lock<std::mutex> tryTerminal();

}  // namespace pibrain
