#pragma once
// Files on the hub's own disk, where all paths are the user's.

#include <absl/status/status.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace pibrain {

// mkdir -p, new directories with mode 0700.
absl::Status makeDirectories(const std::string& path);

// Puts a file with this text and mode in the place of what is at `path`, by rename.
absl::Status replaceFile(const std::string& path, const std::string& text, mode_t mode);

// The text that differs when a file was replaced or changed, as far as stat() can tell.
std::string fileState(const struct stat& st);

// Whether there is something at `path` that only waits to be read, or may: a pipe, a socket, a
// device other than /dev/null.
bool isNoFile(const std::string& path);

// All that is in a file of at most 64 MiB; nullopt, with errno set, if it cannot be read. What
// isNoFile() names is not read.
std::optional<std::string> readWholeFile(const std::string& path);
// What that errno means, for a person.
std::string whyUnread(int error);

// The names in a directory, but for "." and ".."; with `error` set, those that were read before it.
std::vector<std::string> listDirectory(const std::string& path, std::error_code& error);

// As much of a path as can be looked at.
struct Reached {
  std::string path;  // itself, or the nearest above it
  int error;         // why not what is below that: an errno; 0: it is the path itself
};
Reached nearestTo(const std::string& path);

// Why the user of this process may not do something at `path`, which exists, after `error`, and
// what to do; for the end of a sentence, and safe to print.
std::string explainObstacle(const std::string& path, int error);

// Why nothing can be put at the path, for the end of a sentence; empty: something can.
std::string whyNotWritable(const std::string& path);

}  // namespace pibrain
