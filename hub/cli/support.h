#pragma once
// Functions that several commands use.

#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Prints "pi-brain: message" to standard error.
void printError(const std::string& message);
// Prints a failure the same way; on a terminal with the cause and the fixes on their own lines.
void printFailure(const Failure& failure);
// Prints a warning the same way.
void warn(const std::string& message);

// Calls loadConfig and prints errors and doubts. Returns nullopt after an error, also if there is
// no home directory; the command must then exit with EXIT_USAGE.
std::optional<Config> takeConfig(const std::string& configFile);

// Returns the spokes with these names, or all if there are no names. The error about an unknown
// name lists the known ones.
absl::StatusOr<std::vector<const SpokeConfig*>> selectSpokes(const Config& config,
                                                             const std::vector<std::string>& names);

// The config and spokes of a command.
struct Selection {
  Config config;
  std::vector<const SpokeConfig*> spokes;
};
// Loads both from the file (as takeConfig). Returns null after printing an error; the command must
// then exit with EXIT_USAGE.
std::unique_ptr<Selection> loadSelection(const std::string& configFile,
                                         const std::vector<std::string>& names);

// Returns the exit code of a command about these spokes.
int exitCodeOf(const std::vector<SpokeReport>& reports);

// Returns how to add the first spoke to a config.
std::string firstSpokeHelp(const Config& config);

}  // namespace pibrain
