#include "hub/sync/archive-catalog.h"

#include <absl/strings/str_cat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/common.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/digest.h"
#include "common/rooted-dir.h"
#include "common/text.h"
#include "common/tree-walk.h"
#include "hub/sync/archive.h"

namespace pibrain {

namespace {

constexpr int64_t DAY = 86'400'000'000'000;  // ns

int openDirectory(int at, const std::string& path) {
  return openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// The names in a directory, "." and ".." left out. Consumes the descriptor.
std::vector<std::string> namesIn(int fd) {
  std::vector<std::string> names;
  DIR* dir = fdopendir(fd);
  if (dir == nullptr) {
    close(fd);
    return names;
  }
  KJ_DEFER(closedir(dir));
  while (auto* entry = readdir(dir)) {
    std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string idOf(const std::string& path) {
  auto digest = digestOf(kj::arrayPtr(path.data(), path.size()).asBytes());
  auto hex = absl::StrCat(absl::Hex(digest.high, absl::kZeroPad16));
  return hex.substr(0, 10);
}

// Removes the entry and, if it is a directory, all in it; false, with errno set, if not all went.
bool removeAll(int at, const std::string& name) {
  if (unlinkat(at, name.c_str(), 0) == 0) return true;
  if (errno != EISDIR && errno != EPERM) return false;
  int fd = openDirectory(at, name);
  if (fd < 0) return false;
  kj::AutoCloseFd dir(fd);
  int error = 0;
  for (auto& below : namesIn(dup(dir))) {
    if (!removeAll(dir, below)) error = errno;
  }
  if (error == 0) return unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0;
  errno = error;
  return false;
}

Tree walkArchive(const std::string& archiveDir, const std::string& spoke) {
  int fd = openDirectory(AT_FDCWD, archiveDir + "/" + spoke);
  return fd < 0 ? Tree() : walkTree(kj::AutoCloseFd(fd));
}

}  // namespace

std::vector<std::string> archivedSpokes(const std::string& archiveDir) {
  int fd = openDirectory(AT_FDCWD, archiveDir);
  if (fd < 0) return {};
  return namesIn(fd);
}

absl::StatusOr<std::vector<ArchivedFile>> archivedFiles(const std::string& archiveDir,
                                                        const std::string& spoke) {
  auto tree = walkArchive(archiveDir, spoke);
  if (!tree.problems.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the archive cannot be read whole: '",
                     escapeForTerminal(joinPath(archiveDir + "/" + spoke, tree.problems[0].path)),
                     "' cannot be opened. Check its owner and mode with 'ls -ld'."));
  }
  std::vector<ArchivedFile> files;
  for (auto& directory : tree.directories) {
    auto run = directory.path.substr(0, directory.path.find('/'));
    auto archived = archiveRunTime(run);
    if (!archived) continue;
    for (auto& file : directory.files) {
      auto path = directory.pathOf(file);
      files.push_back({idOf(joinPath(spoke, path)), spoke, run, path.substr(run.size() + 1),
                       *archived, file.size, file.mtime});
    }
  }
  return files;
}

uint64_t archivedBytes(const std::string& archiveDir, const std::string& spoke) {
  return walkArchive(archiveDir, spoke).bytes;
}

absl::StatusOr<kj::AutoCloseFd> openArchived(const std::string& archiveDir,
                                             const ArchivedFile& file) {
  int fd = openDirectory(AT_FDCWD, archiveDir);
  if (fd < 0) return absl::NotFoundError("the archive is gone");
  RootedDir root{kj::AutoCloseFd(fd)};
  auto path = file.spoke + "/" + joinPath(file.run, file.path);
  auto opened = root.open(path, O_RDONLY);
  if (opened.error != 0) {
    return absl::NotFoundError(absl::StrCat("'", escapeForTerminal(archiveDir + "/" + path),
                                            "' cannot be read: ", strerror(opened.error)));
  }
  return kj::mv(opened.fd);
}

absl::Status expireArchive(const std::string& archiveDir, const std::string& spoke, uint32_t days,
                           int64_t now) {
  if (days == 0) return absl::OkStatus();
  auto path = archiveDir + "/" + spoke;
  int fd = openDirectory(AT_FDCWD, path);
  if (fd < 0) return absl::OkStatus();
  kj::AutoCloseFd dir(fd);
  std::string failed;
  for (auto& run : namesIn(dup(dir))) {
    auto began = archiveRunTime(run);
    if (!began || *began >= now - int64_t(days) * DAY) continue;
    if (!removeAll(dir, run) && failed.empty()) failed = path + "/" + run + ": " + strerror(errno);
  }
  if (failed.empty()) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("what the archive holds for more than ", days,
                   " days could not be removed: ", escapeForTerminal(failed)));
}

}  // namespace pibrain
