#pragma once
// A directory that no path leads out of: every path is resolved beneath a held descriptor, and
// no component of it may be a symlink or "..". Linux resolves it in one call (openat2 with
// RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS); elsewhere, and for paths longer than PATH_MAX, the
// components are walked one by one with O_NOFOLLOW.

#include <kj/io.h>
#include <kj/string.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace pibrain {

// Returns whether `name` can be one component of a path: not empty, "." or "..", not longer than
// MAX_NAME, and without '/' and NUL.
bool isSafeName(std::string_view name);

// Returns whether each component of `path` is safe and there are at most MAX_DEPTH. "" is not a
// path.
bool isSafePath(std::string_view path);

// Return the directory part of a relative path ("" if it has none), and its last component.
std::string_view parentOf(std::string_view path);
std::string_view baseNameOf(std::string_view path);
// Returns the path of these two parts, of which either may be empty.
std::string joinPath(std::string_view directory, std::string_view name);

// Returns the names in a directory, sorted, without "." and "..". Throws if it cannot be read.
std::vector<std::string> namesIn(int directory);

class RootedDir {
 public:
  // The result of a system call that opens: if it failed, fd is null and `error` says why.
  struct Opened {
    kj::AutoCloseFd fd;
    int error = 0;
  };

  explicit RootedDir(kj::AutoCloseFd dir) : dir_(kj::mv(dir)) {}

  int fd() const { return dir_; }

  // Opens `path`, relative to this directory; "" is the directory itself. A symlink anywhere fails
  // with ELOOP (or ENOTDIR), an unsafe path with EXDEV. Adds O_NOFOLLOW, O_CLOEXEC, O_NOCTTY, and
  // O_NONBLOCK, so that a FIFO does not hang.
  Opened open(std::string_view path, int flags, mode_t mode = 0) const;

 private:
  kj::AutoCloseFd dir_;
};

}  // namespace pibrain
