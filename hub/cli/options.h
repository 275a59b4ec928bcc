#pragma once
// The options that commands have in common.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pibrain {

// For CLI::App::check().
std::string notEmpty(const std::string& value);

// For CLI::App::check(): a number from `least` to `most`.
CLI::Validator between(uint64_t least, uint64_t most);

// An option whose value is a path, which may be given in its exact form (bytes:…) too.
void addPath(CLI::App* command, const std::string& name, std::string& path, const std::string& help,
             const std::string& type = "PATH");

// The same for arguments, of which there may be many.
void addPaths(CLI::App* command, const std::string& name, std::vector<std::string>& paths,
              const std::string& help);

// --config
void addConfig(CLI::App* command, std::string& config);

// --spoke
void addSpokes(CLI::App* command, std::vector<std::string>& spokes);
// The same, and the names of spokes as arguments: `NAME…`.
void addSpokesByName(CLI::App* command, std::vector<std::string>& spokes);

}  // namespace pibrain
