#pragma once
// Files on the hub's own disk, whose paths the user chose.

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

// Replaces the file at `path` by one with this text and mode, atomically by a rename.
absl::Status replaceFile(const std::string& path, const std::string& text, mode_t mode);

// Returns a text that changes when the file is replaced or changed, as far as stat() can tell.
std::string fileState(const struct stat& st);

// Returns whether `path` is something that a read could block on: a pipe, a socket, or a device
// other than /dev/null.
bool isNoFile(const std::string& path);

// Returns the content of a file of at most 64 MiB; nullopt, with errno set, if it cannot be read,
// or if isNoFile() is true of it.
std::optional<std::string> readWholeFile(const std::string& path);
// Describes that errno to a person.
std::string whyUnread(int error);

// Returns the names in a directory without "." and ".."; with `error` set, those read before the
// error.
std::vector<std::string> listDirectory(const std::string& path, std::error_code& error);

// The part of a path that can be accessed.
struct Reached {
  std::string path;  // the path itself, or the nearest directory above it
  int error;         // the errno for what is below it; 0: it is the path itself
};
Reached nearestTo(const std::string& path);

// Explains an `error` at the existing `path`, and how to fix it, as the end of a sentence that is
// safe to print.
std::string explainObstacle(const std::string& path, int error);

// Returns why nothing can be created at the path, as the end of a sentence; nullopt: something can.
std::optional<std::string> whyNotWritable(const std::string& path);

}  // namespace pibrain
