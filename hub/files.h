#pragma once
// Files on the hub's own disk, where all paths are the user's.

#include <absl/status/status.h>

#include <string>

namespace pibrain {

// mkdir -p, new directories with mode 0700.
absl::Status makeDirectories(const std::string& path);

}  // namespace pibrain
