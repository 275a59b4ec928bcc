#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// The answer, from the text that `ssh -G` printed.
absl::StatusOr<SshTarget> parseSshConfig(const std::string& text, const std::string& alias);

}  // namespace pibrain
