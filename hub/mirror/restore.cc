#include "hub/mirror/restore.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/fs/copy.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "hub/base/failure-status.h"
#include "hub/mirror/open-mirror.h"

namespace pibrain {

namespace {

void copy(int from, int to, int64_t mtime) {
  copyBytes(from, UINT64_MAX, to, 0);
  setMtime(to, mtime);
  if (fsync(to) != 0) throwErrno(errno, "cannot write it to the disk");
}

// Throws if a file of the mirror has this name, or the name of a directory above it.
void requireFree(const std::string& mirror, const std::string& path) {
  auto refuse = [](const std::string& what, const std::string& where) {
    throw Failure(FailureId::RESTORE_TARGET_EXISTS,
                  absl::StrCat("the mirror has ", what, ": ", escapeForTerminal(where)), "",
                  {{"Restore the archived file elsewhere with --to PATH", ""}});
  };
  struct stat st;
  auto exists = [&](const std::string& at) { return lstat((mirror + "/" + at).c_str(), &st) == 0; };
  if (exists(path)) refuse("a file of this name", mirror + "/" + path);
  for (auto dir = std::string(parentOf(path)); !dir.empty(); dir = std::string(parentOf(dir))) {
    if (exists(dir) && !S_ISDIR(st.st_mode)) {
      refuse("a file where this one needs a directory", mirror + "/" + dir);
    }
  }
}

std::string restoreToMirror(const Config& config, const ArchivedFile& file, int from) {
  auto* spoke = findSpoke(config, file.spoke);
  if (spoke == nullptr) {
    throw Failure(FailureId::SPOKE_UNKNOWN,
                  absl::StrCat("there is no spoke '", escapeForTerminal(file.spoke), "' in ",
                               escapeForTerminal(config.file), " any more"),
                  "", {{"Choose where to restore the file with --to PATH", ""}});
  }
  auto path = spoke->path + "/" + file.path;
  auto mirror = openMirror(config, *spoke, nullptr, Mirror::Access::WRITE, wallClockNanos());
  requireFree(spoke->path, file.path);
  KJ_DEFER(mirror.removeStagingIfEmpty());
  {
    KJ_ON_SCOPE_FAILURE(mirror.discardStaged(file.path));
    copy(from, mirror.openStaged(file.path, false), file.mtime);
    mirror.publish(file.path, false);
    mirror.finish({{}, true});  // no other file was checked
  }
  return path;
}

std::string restoreTo(std::string path, const ArchivedFile& file, int from) {
  struct stat st;
  if (stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    path = joinPath(path, baseNameOf(file.path));
  }
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    bool exists = errno == EEXIST;
    throw Failure(exists ? FailureId::RESTORE_TARGET_EXISTS : FailureId::RESTORE_FAILED,
                  absl::StrCat("cannot create ", escapeForTerminal(path), ": ", strerror(errno)),
                  exists ? "It was left as it is." : "",
                  exists ? std::vector<Fix>{{"Choose another name", ""}} : std::vector<Fix>());
  }
  KJ_ON_SCOPE_FAILURE(unlink(path.c_str()));
  copy(from, kj::AutoCloseFd(fd), file.mtime);
  return path;
}

}  // namespace

ArchivedFile requireArchived(const Config& config, const std::string& id) {
  auto all = archiveContents(config.hub.archiveDir, {});
  if (!all.ok()) throw failureOf(all.status(), FailureId::ARCHIVE_UNREADABLE);
  auto file = findArchived(all->files, id);
  if (absl::IsNotFound(file.status()) && !all->problem.empty())
    throw Failure(FailureId::ARCHIVE_UNREADABLE, withoutFullStop(all->problem));
  if (!file.ok()) throw failureOf(file.status(), FailureId::ARCHIVED_FILE_UNKNOWN);
  return *file;
}

std::string restoreArchived(const Config& config, const ArchivedFile& file, const std::string& to) {
  auto from = openArchived(config.hub.archiveDir, file);
  if (!from.ok()) throw failureOf(from.status(), FailureId::ARCHIVE_UNREADABLE);
  return to.empty() ? restoreToMirror(config, file, *from) : restoreTo(to, file, *from);
}

}  // namespace pibrain
