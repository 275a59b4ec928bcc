#include "hub/mirror/archive-catalog.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/common.h>
#include <kj/function.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <tuple>

#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/tree/tree-walk.h"
#include "common/wire/digest.h"

namespace pibrain {

namespace {

constexpr int64_t DAY_NANOS = 86'400'000'000'000;  // ns

int openDirectory(int at, const std::string& path) {
  return openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

absl::Status cannotOpen(const std::string& path) {
  return absl::PermissionDeniedError(absl::StrCat(
      "the archive's directory '", escapeForTerminal(path), "' cannot be opened: ", strerror(errno),
      ". Check its owner and mode with 'ls -ld ", escapeForTerminal(shellQuote(path)), "'."));
}

// Opens a spoke's directory in the archive; null if it does not exist. The archive itself may be a
// symlink; a symlink in it is an error, since Archive creates none.
absl::StatusOr<kj::AutoCloseFd> openArchive(const std::string& archiveDir,
                                            const std::string& spoke = "") {
  kj::AutoCloseFd fd(open(archiveDir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0 && !spoke.empty()) fd = kj::AutoCloseFd(openDirectory(fd, spoke));
  if (fd.get() < 0 && errno != ENOENT) {
    return cannotOpen(spoke.empty() ? archiveDir : joinPath(archiveDir, spoke));
  }
  return kj::mv(fd);
}

std::string idOf(const std::string& path) {
  auto digest = digestOf(kj::arrayPtr(path.data(), path.size()).asBytes());
  return absl::StrCat(absl::Hex(digest.high, absl::kZeroPad16));
}

// Removes the entry and, if it is a directory, its content. Returns false, with errno set, if
// anything is left.
bool removeAll(int at, const std::string& name) {
  if (unlinkat(at, name.c_str(), 0) == 0) return true;
  if (errno != EISDIR && errno != EPERM) return false;
  int fd = openDirectory(at, name);
  if (fd < 0) return false;
  kj::AutoCloseFd dir(fd);
  int error = 0;
  for (auto& below : namesIn(dir)) {
    if (!removeAll(dir, below)) error = errno;
  }
  if (error == 0) return unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0;
  errno = error;
  return false;
}

// Returns when a run began, whether its files expire or not.
std::optional<int64_t> timeOf(const std::string& run) {
  auto began = archiveRunTime(run);
  return began ? began : removedRunTime(run);
}

// Calls `visit` with the name of each run that archived files of the spoke, and the tree of these
// files.
absl::Status walkRuns(const std::string& archiveDir, const std::string& spoke,
                      kj::FunctionParam<void(const std::string& run, const Tree& tree)> visit) {
  auto dir = openArchive(archiveDir, spoke);
  if (!dir.ok()) return dir.status();
  if (dir->get() < 0) return absl::OkStatus();
  for (auto& run : namesIn(*dir)) {
    if (!timeOf(run)) continue;
    auto path = joinPath(joinPath(archiveDir, spoke), run);
    // Walks each run separately, because an archived path can be as deep as the limit for a mirror.
    kj::AutoCloseFd fd(openDirectory(*dir, run));
    if (fd.get() < 0 && errno == ENOENT) continue;  // it has expired meanwhile
    if (fd.get() < 0) return cannotOpen(path);
    auto tree = walkTree(fd);
    if (!tree.problems.empty()) {
      errno = tree.problems[0].reason == proto::Reason::DENIED ? EACCES : EIO;
      return cannotOpen(joinPath(path, tree.problems[0].path));
    }
    visit(run, tree);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> archivedSpokes(const std::string& archiveDir) {
  auto fd = openArchive(archiveDir);
  if (!fd.ok()) return fd.status();
  if (fd->get() < 0) return std::vector<std::string>();
  return namesIn(*fd);
}

absl::StatusOr<std::vector<ArchivedFile>> archivedFiles(const std::string& archiveDir,
                                                        const std::string& spoke) {
  std::vector<ArchivedFile> files;
  auto walked = walkRuns(archiveDir, spoke, [&](const std::string& run, const Tree& tree) {
    for (auto& directory : tree.directories) {
      for (auto& file : directory.files) {
        auto path = directory.pathOf(file);
        files.push_back({idOf(joinPath(spoke, joinPath(run, path))), spoke, run, path, *timeOf(run),
                         file.size, file.mtime, removedRunTime(run).has_value(),
                         archiveReasonOf(run)});
      }
    }
  });
  if (!walked.ok()) return walked;
  std::sort(files.begin(), files.end(), [](auto& a, auto& b) {
    return std::tie(a.forGood, a.archived, a.path, a.run) <
           std::tie(b.forGood, b.archived, b.path, b.run);
  });
  return files;
}

uint64_t archivedBytes(const std::string& archiveDir, const std::string& spoke) {
  uint64_t bytes = 0;
  auto walked = walkRuns(archiveDir, spoke,
                         [&](const std::string&, const Tree& tree) { bytes += tree.bytes; });
  return walked.ok() ? bytes : 0;
}

absl::StatusOr<kj::AutoCloseFd> openArchived(const std::string& archiveDir,
                                             const ArchivedFile& file) {
  auto dir = openArchive(archiveDir, file.spoke);
  if (!dir.ok()) return dir.status();
  auto run = joinPath(joinPath(archiveDir, file.spoke), file.run);
  kj::AutoCloseFd fd(openDirectory(*dir, file.run));
  if (fd.get() < 0) return cannotOpen(run);
  auto opened = RootedDir(kj::mv(fd)).open(file.path, O_RDONLY);
  if (opened.error != 0) {
    return absl::NotFoundError(absl::StrCat("'", escapeForTerminal(joinPath(run, file.path)),
                                            "' cannot be read: ", strerror(opened.error)));
  }
  return kj::mv(opened.fd);
}

std::string archiveAgesFile(const std::string& databaseDir, const std::string& spoke) {
  return joinPath(joinPath(databaseDir, "archive-ages"), spoke);
}

absl::Status expireArchive(const std::string& archiveDir, const std::string& spoke, uint32_t days,
                           int64_t now, const std::string& agesFile, const AgeClocks& clocks) {
  int64_t oldest = 0;
  // If the subtraction overflows, the clock is wrong and nothing is old enough.
  if (days == 0 || __builtin_sub_overflow(now, int64_t(days) * DAY_NANOS, &oldest)) {
    return absl::OkStatus();
  }
  auto dir = openArchive(archiveDir, spoke);
  if (!dir.ok()) return dir.status();
  if (dir->get() < 0) return absl::OkStatus();
  ArchiveAges ages(agesFile, clocks);
  std::string failed;
  for (auto& run : namesIn(*dir)) {
    auto began = archiveRunTime(run);
    if (!began) continue;
    // The count is missing for runs of older versions, or after sync.db's directory was lost. The
    // name alone does not prove the age.
    ages.begin(run);
    if (*began >= oldest || ages.of(run).value_or(0) < int64_t(days) * DAY_NANOS) continue;
    if (!removeAll(*dir, run) && failed.empty()) {
      failed = archiveDir + "/" + spoke + "/" + run + ": " + strerror(errno);
    }
  }
  ages.forgetAllBut(namesIn(*dir));
  ages.save();
  if (failed.empty()) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("files that the archive has kept for more than ", days,
                   " days could not be removed: ", escapeForTerminal(failed)));
}

absl::StatusOr<ArchiveContents> archiveContents(const std::string& archiveDir,
                                                const std::vector<std::string>& names) {
  auto archived = archivedSpokes(archiveDir);
  if (!archived.ok()) return archived.status();
  auto contains = [](auto& all, auto& name) {
    return std::count(all.begin(), all.end(), name) > 0;
  };
  ArchiveContents contents;
  for (auto& name : names) {
    if (!contains(*archived, name)) contents.without.push_back(name);
  }
  for (auto& spoke : *archived) {
    if (!names.empty() && !contains(names, spoke)) continue;
    auto files = archivedFiles(archiveDir, spoke);
    if (files.ok()) {
      contents.files.insert(contents.files.end(), files->begin(), files->end());
    } else if (!contents.problem) {
      contents.problem = std::string(files.status().message());
    }
  }
  return contents;
}

absl::StatusOr<ArchivedFile> findArchived(const std::vector<ArchivedFile>& files,
                                          const std::string& id) {
  std::vector<const ArchivedFile*> found;
  for (auto& file : files) {
    if (!id.empty() && file.id.starts_with(id)) found.push_back(&file);
  }
  if (found.size() == 1) return *found[0];
  if (found.empty()) {
    return absl::NotFoundError(absl::StrCat("nothing in the archive has the id '",
                                            escapeForTerminal(id),
                                            "'. 'pi-brain sync archive list' lists the ids"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "more than one id in the archive begins with '", escapeForTerminal(id),
      "': ", absl::StrJoin(found, ", ", [](std::string* out, auto* file) { *out += file->id; })));
}

uint64_t bytesOf(const std::vector<ArchivedFile>& files) {
  uint64_t bytes = 0;
  for (auto& file : files) bytes += file.size;
  return bytes;
}

}  // namespace pibrain
