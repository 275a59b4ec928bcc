#pragma once
// Files on the hub's own disk, where all paths are the user's.

#include <absl/status/status.h>
#include <sys/types.h>

#include <optional>
#include <string>

namespace pibrain {

// mkdir -p, new directories with mode 0700.
absl::Status makeDirectories(const std::string& path);

// Puts a file with this text and mode in the place of what is at `path`, by rename.
absl::Status replaceFile(const std::string& path, const std::string& text, mode_t mode);

// All that is in a file of at most 64 MiB; nullopt, with errno set, if it cannot be read.
std::optional<std::string> readWholeFile(const std::string& path);

}  // namespace pibrain
