#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "hub/base/failure.h"

namespace pibrain {

// Explains a mistake in the command line: the wrong word, and what is possible. `app`: the whole
// program.
Failure explainUsage(const CLI::App& app, const CLI::ParseError& error);

// Explains that the word is not a command of `group`.
Failure explainUnknownCommand(const CLI::App& group, const std::string& word);

}  // namespace pibrain
