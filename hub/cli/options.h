#pragma once
// Options that several commands have.

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace pibrain {

// For CLI::App::check(): a text that is not empty.
std::string hasText(const std::string& value);

// For CLI::App::check(): a number from `least` to `most`; `unit`: "KB per second".
CLI::Validator between(uint64_t least, uint64_t most, const std::string& unit = "");

// Adds an option whose value is a path, also in its exact form (bytes:…).
void addPath(CLI::App* command, const std::string& name, std::string& path, const std::string& help,
             const std::string& type = "PATH");

// The same for arguments, of which there may be many.
void addPaths(CLI::App* command, const std::string& name, std::vector<std::string>& paths,
              const std::string& help);

// Adds --json.
CLI::Option* addJson(CLI::App* command, bool& json);

// Runs `work` when the command is parsed, and sets `exitCode` to what it returns. A Failure that
// `work` throws ends the command and is printed, with --json also as a document.
void setAction(CLI::App* command, int& exitCode, std::function<int()> work);

// Adds --config. addConfigToGroup() is for people who write it before the command.
void addConfig(CLI::App* command, std::string& config);
void addConfigToGroup(CLI::App& group);

// Adds --spoke.
void addSpokeOption(CLI::App* command, std::vector<std::string>& spokes);
// Adds --spoke, and names of spokes as arguments: `NAME…`.
void addSpokes(CLI::App* command, std::vector<std::string>& spokes);

}  // namespace pibrain
