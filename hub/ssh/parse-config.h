#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// Parses the output of `ssh -G`.
absl::StatusOr<SshTarget> parseSshConfig(const std::string& text, const std::string& alias);

}  // namespace pibrain
