#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace pibrain {

// What is wrong with a command line, for a person: which word, and what could stand there. `app` is
// the whole program.
std::string explainUsage(const CLI::App& app, const CLI::ParseError& error);

// The same of a word that names no command below `group`.
std::string explainUnknownCommand(const CLI::App& group, const std::string& word);

}  // namespace pibrain
