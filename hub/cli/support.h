#pragma once
// What the commands share.

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
// The same of a failure: on a terminal with what to do about it on lines of its own.
void printFailure(const Failure& failure);
// The same of what the command goes on without.
void warn(const std::string& message);

// As loadConfig, with errors and doubts printed, or that there is no home directory to find it in.
// Returns nullopt after an error: the command ends with EXIT_USAGE.
std::optional<Config> takeConfig(const std::string& configFile);

// The spokes of these names, or all if there are none; an unknown name is an error that lists the
// known ones.
absl::StatusOr<std::vector<const SpokeConfig*>> selectSpokes(const Config& config,
                                                             const std::vector<std::string>& names);

// What a command is about: a config, and spokes of it.
struct Selection {
  Config config;
  std::vector<const SpokeConfig*> spokes;
};
// Both of these, from the file (as for takeConfig). Null if one fails: it has been said, and the
// command ends with EXIT_USAGE.
std::unique_ptr<Selection> loadSelection(const std::string& configFile,
                                         const std::vector<std::string>& names);

// What a command over these spokes exits with.
int exitCodeOf(const std::vector<SpokeReport>& reports);

// The lines to add to a config without spokes.
std::string firstSpokeHelp(const Config& config);

}  // namespace pibrain
