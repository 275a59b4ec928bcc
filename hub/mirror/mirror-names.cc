// The part of Mirror for filesystems that treat two names as one.

#include <absl/strings/match.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

bool Mirror::isKnownDirectory(const std::string& path) const {
  if (made_.contains(path)) return true;
  if (tree_ == nullptr) return false;
  auto& all = tree_->directories;
  auto firstFrom = [&](const std::string& wanted) {
    return std::lower_bound(all.begin(), all.end(), wanted,
                            [](auto& directory, auto& w) { return directory.path < w; });
  };
  auto itself = firstFrom(path);
  if (itself != all.end() && itself->path == path) return true;
  auto below = firstFrom(path + "/");
  return below != all.end() && below->path.starts_with(path + "/");
}

bool Mirror::hasOwnPath(const std::string& path) {
  auto above = std::string(parentOf(path)), name = std::string(baseNameOf(path));
  if (!above.empty() && !hasOwnPath(above)) return false;
  if (auto* names = names_.find(above)) return names->contains(name);
  auto opened = KJ_ASSERT_NONNULL(root_).open(above, O_RDONLY | O_DIRECTORY);
  return opened.error == 0 && names_.read(above, opened.fd).contains(name);
}

bool Mirror::stillNamed(const std::string& path) { return !mayFold() || hasOwnPath(path); }

void Mirror::noteName(const std::string& path) {
  bool plain = std::all_of(path.begin(), path.end(), [](char c) { return (c & 0x80) == 0; });
  if (traits_.changesNames && !plain) return names_.forget(std::string(parentOf(path)));
  names_.add(path);
}

void Mirror::requireOwnName(int parent, const std::string& name, const std::string& path) {
  auto above = std::string(parentOf(path));
  struct stat st;
  if (names_.read(above, parent).contains(name) ||
      fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return;
  }
  names_.forget(above);  // another process may have created it
  auto& names = names_.read(above, parent);
  if (names.contains(name)) return;
  traits_.foldsNames = true;  // although probing did not show it
  auto found = ownNameOf(parent, name, names);
  auto other = joinPath(above, found.value_or("?"));
  bool free = found && spokeHas_ && !spokeHas_(other);
  if (free && renameat(parent, found->c_str(), parent, name.c_str()) == 0) {
    ++renames_;
    touch(above);
    names_.forgetAll();  // the entry may be a directory
    if (names_.read(above, parent).contains(name)) return;
  }
  kj::throwFatalException(
      kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                    kj::str("the mirror's filesystem treats its name as ",
                            found ? inQuotes(other).c_str() : "that of another entry",
                            found && spokeHas_ && !free ? ", which the spoke has too" : "",
                            ". Rename one of them on the spoke, or move the mirror to a filesystem "
                            "that distinguishes them")));
}

// Returns the real name of the entry that `name` finds; nullopt if it cannot be determined.
std::optional<std::string> Mirror::ownNameOf(int parent, const std::string& name,
                                             const DirectoryNames::Names& names) const {
  for (auto& other : names) {
    if (absl::EqualsIgnoreCase(name, other)) return other;
  }
  // On FUSE, one file can have a different inode number under each of its names.
  struct stat one, two;
  if (fstatat(parent, name.c_str(), &one, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  std::optional<std::string> alike;
  size_t count = 0;
  for (auto& other : names) {
    if (fstatat(parent, other.c_str(), &two, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (one.st_ino == two.st_ino && one.st_nlink == 1) return other;
    if (one.st_mode != two.st_mode || one.st_size != two.st_size || mtimeOf(one) != mtimeOf(two)) {
      continue;
    }
    alike = other;
    ++count;
  }
  return count == 1 ? alike : std::nullopt;
}

// Throws unless the directory, and each above it, has exactly this name.
void Mirror::requireOwnDirectory(const std::string& path, int fd) {
  struct stat opened, staged;
  KJ_REQUIRE(fstat(fd, &opened) != 0 || fstat(staging(), &staged) != 0 ||
                 opened.st_dev != staged.st_dev || opened.st_ino != staged.st_ino,
             "the mirror uses this name itself");
  auto above = std::string(parentOf(path));
  requireOwnName(directory(above), std::string(baseNameOf(path)), path);
}

}  // namespace pibrain
