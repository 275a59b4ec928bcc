#include "hub/rsync/folding.h"

#include <absl/strings/ascii.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_map>

#include "common/fs/io-error.h"
#include "common/fs/rooted-dir.h"

namespace pibrain {

namespace {

// Returns the paths with all directories above them, without "".
std::set<std::string> withDirectories(const std::set<std::string>& paths) {
  std::set<std::string> all;
  for (std::string_view path : paths) {
    while (!path.empty() && all.emplace(path).second) path = parentOf(path);
  }
  return all;
}

bool create(int fd, const std::string& name) {
  kj::AutoCloseFd file(
      openat(fd, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return file.get() >= 0;
}

// Returns which of the files this name finds: the one without which the name does not exist. Inodes
// do not tell, since FUSE may give each name its own.
std::string whoseName(const std::string& name, const std::vector<std::string>& made, int fd) {
  for (auto& other : made) {
    unlinkat(fd, other.c_str(), 0);
    bool gone = faccessat(fd, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    create(fd, other);
    if (gone) return other;
  }
  return name;
}

std::map<std::string, std::string> foldedByTrying(const std::vector<std::string>& names, int fd) {
  std::map<std::string, std::string> out;
  std::vector<std::string> made;
  for (auto& name : names) {
    if (create(fd, name)) {
      made.push_back(name);
    } else if (errno == EEXIST) {
      out.emplace(name, whoseName(name, made, fd));
    }
  }
  for (auto& name : made) unlinkat(fd, name.c_str(), 0);
  return out;
}

}  // namespace

ScratchDirectory::ScratchDirectory(const std::string& above) : above_(above) {
  made_ = mkdir(above.c_str(), 0700) == 0;
  auto path = above + "/names";
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throwErrno(errno, "cannot test names");
  fd_ = kj::AutoCloseFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd_.get() < 0) throwErrno(errno, "cannot test names");
}

ScratchDirectory::~ScratchDirectory() {
  rmdir((above_ + "/names").c_str());
  if (made_) rmdir(above_.c_str());
}

bool isAscii(const std::string& name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return uint8_t(c) < 0x80; });
}

std::string folded(const std::string& path) { return absl::AsciiStrToLower(path); }

std::map<std::string, std::string> foldedNames(const std::vector<std::string>& names, int fd) {
  if (fd >= 0 && !std::all_of(names.begin(), names.end(), isAscii)) {
    return foldedByTrying(names, fd);
  }
  std::map<std::string, std::string> out;
  std::unordered_map<std::string, std::string> first;
  for (auto& name : names) {
    auto [found, isFirst] = first.emplace(folded(name), name);
    if (!isFirst) out.emplace(name, found->second);
  }
  return out;
}

Folding findFolding(const std::set<std::string>& spoke, const std::set<std::string>& mirror,
                    const FoldNames& fold) {
  Folding folding;
  auto theirs = withDirectories(spoke), ours = withDirectories(mirror);
  std::map<std::string, std::vector<std::string>> inDirectory;
  for (auto& path : theirs) {
    inDirectory[std::string(parentOf(path))].emplace_back(baseNameOf(path));
  }
  std::map<std::string, std::string> taken;  // files and directories
  for (auto& entry : inDirectory) {
    // Not a structured binding, which clang 14 cannot capture.
    auto& directory = entry.first;
    auto& names = entry.second;
    std::stable_partition(names.begin(), names.end(),
                          [&](auto& name) { return ours.contains(joinPath(directory, name)); });
    for (auto& [name, other] : fold(names)) {
      taken.emplace(joinPath(directory, name), joinPath(directory, other));
    }
  }
  std::unordered_map<std::string, std::string> spelled;
  for (auto& path : mirror) {
    if (!spoke.contains(path)) spelled.emplace(folded(path), path);
  }
  for (auto& path : spoke) {
    auto above = taken.end();
    for (std::string_view at = path; !at.empty() && above == taken.end(); at = parentOf(at)) {
      above = taken.find(std::string(at));
    }
    if (above != taken.end()) {
      folding.refused.emplace(path, above->second + path.substr(above->first.size()));
      continue;
    }
    auto found = spelled.find(folded(path));
    if (found != spelled.end() && !ours.contains(path)) {
      folding.respelled.emplace(found->second, path);
    }
  }
  return folding;
}

}  // namespace pibrain
