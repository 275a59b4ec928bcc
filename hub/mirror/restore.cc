#include "hub/mirror/restore.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "common/fs/copy.h"
#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure-status.h"
#include "hub/base/user-files.h"
#include "hub/mirror/open-mirror.h"

namespace pibrain {

namespace {

void copy(int from, int to, int64_t mtime) {
  copyBytes(from, UINT64_MAX, to, 0);
  setMtime(to, mtime);
}

// Throws if a file beneath `root` has this name, or the name of a directory above it.
void requireFree(const std::string& root, const std::string& path) {
  auto refuse = [](const std::string& what, const std::string& where) {
    throw Failure(FailureId::RESTORE_TARGET_EXISTS,
                  absl::StrCat("there is ", what, ": ", escapeForTerminal(where)), "",
                  {{"Restore it elsewhere, with --to PATH", ""}});
  };
  struct stat st;
  auto exists = [&](const std::string& at) { return lstat((root + "/" + at).c_str(), &st) == 0; };
  if (exists(path)) refuse("a file of this name", root + "/" + path);
  for (auto dir = std::string(parentOf(path)); !dir.empty(); dir = std::string(parentOf(dir))) {
    if (exists(dir) && !S_ISDIR(st.st_mode)) {
      refuse("a file where this one needs a directory", root + "/" + dir);
    }
  }
}

// Does the work for one file, unless it has failed already. What `work` throws becomes the file's
// failure.
template <typename Work>
void attempt(RestoredFile& one, Work&& work) {
  if (one.failure) return;
  try {
    work();
  } catch (const Failure& e) {
    one.failure = e;
  } catch (const kj::Exception& e) {
    std::vector<Fix> fixes;
    if (isDiskFull(e)) {
      fixes = {makeRoom(nearestTo(one.path).path),
               {"Or restore it to another disk with --to PATH", ""}};
    }
    one.failure =
        Failure(isDiskFull(e) ? FailureId::DISK_FULL : FailureId::RESTORE_FAILED,
                "the file could not be restored: " + withoutFullStop(messageOf(e)), "", fixes);
  }
}

kj::AutoCloseFd openSource(const Config& config, const ArchivedFile& file) {
  auto from = openArchived(config.hub.archiveDir, file);
  if (!from.ok()) throw failureOf(from.status(), FailureId::ARCHIVE_UNREADABLE);
  return *kj::mv(from);
}

using RestoredFiles = std::vector<RestoredFile*>;

void noteUncommitted(const RestoredFiles& files,
                     const std::vector<Mirror::Uncommitted>& uncommitted) {
  for (auto& one : uncommitted) {
    for (auto* file : files) {
      if (file->file.path == one.path) attempt(*file, [&]() { Mirror::fail(one); });
    }
  }
}

// Stages the files, and publishes them as a run does.
void fillMirror(const Config& config, Mirror& mirror, const RestoredFiles& files) {
  KJ_DEFER(mirror.removeStagingIfEmpty());
  KJ_ON_SCOPE_FAILURE(for (auto* one : files) mirror.discardStaged(one->file.path));
  for (auto* one : files) {
    auto& file = one->file;
    attempt(*one, [&]() {
      auto from = openSource(config, file);
      requireFree(mirror.path(), file.path);
      KJ_ON_SCOPE_FAILURE(mirror.discardStaged(file.path));
      copy(from, mirror.openStaged(file.path, false), file.mtime);
      mirror.publish(file.path, false);
    });
    noteUncommitted(files, mirror.proceed());
  }
  noteUncommitted(files, mirror.commit());
  mirror.finish({{}, true});  // no other file was checked
}

// Restores the files, all of one spoke, to its mirror.
void restoreToMirror(const Config& config, const RestoredFiles& files, bool dryRun) {
  auto& name = files[0]->file.spoke;
  auto* spoke = findSpoke(config, name);
  auto failAll = [&](const Failure& failure) {
    for (auto* one : files) {
      if (!one->failure) one->failure = failure;
    }
  };
  if (spoke == nullptr) {
    return failAll(Failure(FailureId::SPOKE_UNKNOWN,
                           absl::StrCat("there is no spoke '", escapeForTerminal(name), "' in ",
                                        escapeForTerminal(config.file), " any more"),
                           "", {{"Restore it elsewhere, with --to PATH", ""}}));
  }
  for (auto* one : files) one->path = spoke->path + "/" + one->file.path;
  if (dryRun) {
    for (auto* one : files) {
      attempt(*one, [&]() {
        (void)openSource(config, one->file);
        requireFree(spoke->path, one->file.path);
      });
    }
    return;
  }
  RestoredFile whole{files[0]->file, spoke->path, std::nullopt};
  attempt(whole, [&]() {
    auto mirror = openMirror(config, *spoke, nullptr, Mirror::Access::WRITE, wallClockNanos());
    fillMirror(config, mirror, files);
  });
  if (whole.failure) failAll(*whole.failure);
}

Failure cannotCreate(const std::string& path, int error) {
  auto what = absl::StrCat("cannot create ", escapeForTerminal(path), ": ", strerror(error));
  if (error == EEXIST) {
    return Failure(FailureId::RESTORE_TARGET_EXISTS, what, "It was left as it is.",
                   {{"Choose another name", ""}});
  }
  Fix fix{"Choose a directory that you may write to with --to PATH", ""};
  if (auto remedy = remedyFor(error, nearestTo(path).path)) fix = remedy->fix;
  if (error == ENOENT) {
    auto parent = std::string(parentOf(path));
    fix = {"Create the directory", "mkdir -p " + escapeForTerminal(shellQuote(parent))};
  }
  return Failure(FailureId::RESTORE_FAILED, what, "", {fix});
}

// Restores the file to one.path, which is `name` in `directory`. With `flush`, the file is on the
// disk when this returns.
void restoreInto(const Config& config, int directory, const std::string& name,
                 const RestoredFile& one, bool flush) {
  auto from = openSource(config, one.file);
  kj::AutoCloseFd fd(
      openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.get() < 0) throw cannotCreate(one.path, errno);
  KJ_ON_SCOPE_FAILURE(unlinkat(directory, name.c_str(), 0));
  copy(from, fd, one.file.mtime);
  if (flush && fsync(fd) != 0) throwErrno(errno, "cannot write it to the disk");
}

void restoreTo(const Config& config, const std::string& to, RestoredFile& one, bool dryRun) {
  one.path = to;
  struct stat st;
  if (stat(to.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    one.path = joinPath(to, baseNameOf(one.file.path));
  }
  attempt(one, [&]() {
    if (!dryRun) return restoreInto(config, AT_FDCWD, one.path, one, true);
    (void)openSource(config, one.file);
    if (lstat(one.path.c_str(), &st) == 0) throw cannotCreate(one.path, EEXIST);
  });
}

// Restores the files beneath the directory `to`. No symlink in `to` is followed, since the archived
// paths come from a spoke.
void restoreToTree(const Config& config, const std::string& to, const RestoredFiles& files,
                   bool dryRun) {
  kj::Maybe<RootedDir> root;
  bool flushEach = true;
  for (auto* one : files) {
    auto path = joinPath(one->file.spoke, one->file.path);
    one->path = joinPath(to, path);
    attempt(*one, [&]() {
      if (dryRun) {
        (void)openSource(config, one->file);
        return requireFree(to, path);
      }
      if (root == nullptr) {
        auto made = makeDirectories(to);
        if (!made.ok()) throw failureOf(made, FailureId::RESTORE_FAILED);
        int fd = open(to.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) throw cannotCreate(to, errno);
        root = RootedDir(kj::AutoCloseFd(fd));
        flushEach = !syncfsReaches(fd);
      }
      auto above = makeDirectoriesBeneath(KJ_ASSERT_NONNULL(root), std::string(parentOf(path)),
                                          inQuotes(to));
      restoreInto(config, above, std::string(baseNameOf(path)), *one, flushEach);
    });
  }
  KJ_IF_MAYBE(dir, root) {
    if (flushEach || syncfs(dir->fd()) == 0) return;
    int error = errno;
    for (auto* one : files) {
      attempt(*one, [&]() { throwErrno(error, "cannot write it to the disk"); });
    }
  }
}

}  // namespace

std::vector<RestoredFile> restoreArchived(const Config& config,
                                          const std::vector<ArchivedFile>& files,
                                          const RestoreTarget& target, bool dryRun) {
  std::vector<RestoredFile> restored;
  for (auto& file : files) restored.push_back({file, "", std::nullopt});
  std::map<std::string, RestoredFiles> bySpoke;
  for (auto& one : restored) {
    if (!target.path.empty() && !target.tree) {
      restoreTo(config, target.path, one, dryRun);
    } else {
      bySpoke[one.file.spoke].push_back(&one);
    }
  }
  for (auto& [spoke, part] : bySpoke) {
    if (target.tree) {
      restoreToTree(config, target.path, part, dryRun);
    } else {
      restoreToMirror(config, part, dryRun);
    }
  }
  return restored;
}

}  // namespace pibrain
