#pragma once
// What the commands share.

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "hub/config.h"

namespace pibrain {

// To be called by commands that sync, before they have threads.
void initLibraries();

// Prints "pi-brain: message" to standard error.
void complain(const std::string& message);

// The spokes of these names, or all if there are none; an unknown name is an error that lists the
// known ones.
absl::StatusOr<std::vector<const SpokeConfig*>> chooseSpokes(const Config& config,
                                                             const std::vector<std::string>& names);

// Paths, relative to `directory`, of the *.jsonl files beneath it, sorted; none if it does not
// exist.
std::vector<std::string> sessionsIn(const std::string& directory);

// The lines to add to a config without spokes.
std::string firstSpokeHelp(const Config& config);

}  // namespace pibrain
