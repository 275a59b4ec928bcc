#include "hub/mirror/archive.h"

#include <absl/strings/str_cat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "common/fs/copy.h"
#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure.h"
#include "hub/base/user-files.h"
#include "hub/mirror/archive-age.h"

namespace pibrain {

namespace {

// The name of an unfinished copy, beside the directories of the runs.
constexpr char INCOMPLETE[] = "incomplete";

// Prefix of the runs that are kept for good.
constexpr std::string_view REMOVED = "removed-";

// The reasons that are part of a directory's name.
constexpr ArchiveReason REASONS[] = {ArchiveReason::REPLACED, ArchiveReason::REPAIRED,
                                     ArchiveReason::EDITED, ArchiveReason::DELETED,
                                     ArchiveReason::RECOVERED};

void copyContent(int in, int out) {
  copyBytes(in, UINT64_MAX, out, 0);
  struct stat st;
  if (fstat(in, &st) == 0) {
    struct timespec times[2] = {st.st_mtim, st.st_mtim};
    futimens(out, times);
  }
}

// Throws if a large file does not fit. Otherwise each run would spend a long time copying each such
// file, only to fail.
void requireRoom(int out, const struct stat& file) {
  constexpr uint64_t WORTH_ASKING = 1 << 20;
  uint64_t taken = std::min(uint64_t(file.st_size), uint64_t(file.st_blocks) * 512);
  struct statvfs fs;
  if (taken < WORTH_ASKING || fstatvfs(out, &fs) != 0 || fs.f_blocks == 0) return;
  if (taken > uint64_t(fs.f_bavail) * fs.f_frsize) throwErrno(ENOSPC, "cannot write");
}

RootedDir::Opened openOrMake(const RootedDir& root, const std::string& path) {
  auto opened = root.open(path, O_RDONLY | O_DIRECTORY);
  if (opened.error != ENOENT || path.empty()) return opened;
  auto parent = openOrMake(root, std::string(parentOf(path)));
  if (parent.error != 0) return parent;
  auto name = std::string(baseNameOf(path));
  if (mkdirat(parent.fd, name.c_str(), 0700) != 0 && errno != EEXIST) return {nullptr, errno};
  int fd = openat(parent.fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return {nullptr, errno};
  return {kj::AutoCloseFd(fd), 0};
}

}  // namespace

kj::AutoCloseFd makeDirectoriesBeneath(const RootedDir& root, const std::string& path,
                                       const std::string& where) {
  auto made = openOrMake(root, path);
  if (made.error != 0) throwErrno(made.error, "cannot make a directory in " + where);
  return kj::mv(made.fd);
}

const char* toString(ArchiveReason reason) {
  switch (reason) {
    case ArchiveReason::UNKNOWN:
      break;
    case ArchiveReason::REPLACED:
      return "replaced";
    case ArchiveReason::REPAIRED:
      return "repaired";
    case ArchiveReason::EDITED:
      return "edited";
    case ArchiveReason::DELETED:
      return "deleted";
    case ArchiveReason::RECOVERED:
      return "recovered";
    case ArchiveReason::REMOVED:
      return "removed";
  }
  return "";
}

std::string archiveRunName(int64_t began) {
  time_t seconds = began / 1'000'000'000;
  struct tm parts;
  gmtime_r(&seconds, &parts);
  char out[48];
  size_t n = strftime(out, sizeof(out), "%Y%m%dT%H%M%S", &parts);
  snprintf(out + n, sizeof(out) - n, ".%03dZ", int(began / 1'000'000 % 1000));
  return out;
}

std::optional<int64_t> archiveRunTime(const std::string& name) {
  struct tm parts = {};
  int milliseconds = 0;
  if (sscanf(name.c_str(), "%4d%2d%2dT%2d%2d%2d.%3dZ", &parts.tm_year, &parts.tm_mon,
             &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &milliseconds) != 7) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  int64_t began = 0;  // ns; overflows for late years
  if (__builtin_mul_overflow(int64_t(timegm(&parts)) * 1000 + milliseconds, 1'000'000, &began)) {
    return std::nullopt;
  }
  // Only a name that reads back unchanged is valid.
  if (archiveRunName(began) != name.substr(0, name.find('~'))) return std::nullopt;
  return began;
}

std::optional<int64_t> removedRunTime(const std::string& name) {
  if (!name.starts_with(REMOVED)) return std::nullopt;
  return archiveRunTime(name.substr(REMOVED.size()));
}

std::string archiveRunOf(const std::string& directory) {
  return directory.substr(0, directory.find('~'));
}

ArchiveReason archiveReasonOf(const std::string& directory) {
  if (directory.starts_with(REMOVED)) return ArchiveReason::REMOVED;
  auto more = directory.substr(archiveRunOf(directory).size());
  for (auto reason : REASONS) {
    auto wanted = "~" + std::string(toString(reason));
    if (more == wanted || more.starts_with(wanted + "~")) return reason;
  }
  return ArchiveReason::UNKNOWN;
}

Archive::Archive(std::string directory, std::string spoke, int64_t runStarted, std::string agesFile)
    : directory_(std::move(directory)),
      spoke_(std::move(spoke)),
      agesFile_(std::move(agesFile)),
      latest_(runStarted) {}

void Archive::clockShows(int64_t now) { latest_ = std::max(latest_, now); }

void Archive::keepForGood() { forGood_ = true; }

const std::string& Archive::run() {
  if (!run_.empty()) return run_;
  if (forGood_) return run_ = std::string(REMOVED) + archiveRunName(latest_);
  constexpr int64_t MILLISECOND = 1'000'000;
  kj::AutoCloseFd whole(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  kj::AutoCloseFd there(
      openat(whole, spoke_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (there.get() >= 0) {
    for (auto& name : namesIn(there)) {
      auto began = archiveRunTime(name);
      if (!began) continue;
      int64_t after = INT64_MAX;
      if (*began <= INT64_MAX - MILLISECOND) after = *began + MILLISECOND;
      latest_ = std::max(latest_, after);
    }
  }
  return run_ = archiveRunName(latest_);
}

const RootedDir& Archive::spokeDir() {
  if (spokeDir_) return *spokeDir_;
  auto made = makeDirectories(directory_);
  if (!made.ok()) throwFileError(absl::StrCat("in ", where(), ": ", std::string(made.message())));
  int fd = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throwErrno(errno, "cannot open " + where());
  syncfsReaches_ = syncfsReaches(fd);
  // The archive itself may be a symlink; a symlink in it is not followed.
  RootedDir whole{kj::AutoCloseFd(fd)};
  return spokeDir_.emplace(makeDirectoriesBeneath(whole, spoke_, where()));
}

std::string Archive::runName(ArchiveReason reason, size_t number) {
  auto name = run();
  if (!forGood_ && reason != ArchiveReason::UNKNOWN) absl::StrAppend(&name, "~", toString(reason));
  if (number > 0) absl::StrAppend(&name, "~", number + 1);
  return name;
}

const RootedDir& Archive::runDir(const std::string& name) {
  auto found = runDirs_.find(name);
  if (found != runDirs_.end()) return found->second;
  RootedDir dir(makeDirectoriesBeneath(spokeDir(), name, where()));
  auto& made = runDirs_.emplace(name, kj::mv(dir)).first->second;
  if (!agesFile_.empty() && !forGood_) noteArchiveRun(agesFile_, name, AgeClocks::now());
  return made;
}

std::string Archive::where() const { return "the archive " + escapeForTerminal(directory_); }

Archive::Place Archive::place(const std::string& path, ArchiveReason reason) {
  auto name = std::string(baseNameOf(path));
  // One run may archive one path twice: an old version, and then another one that replaced it. Or
  // it archives a file, and then a file beneath the directory that took its place.
  for (size_t number = 0;; ++number) {
    auto run = runName(reason, number);
    auto dir = openOrMake(runDir(run), std::string(parentOf(path)));
    if (dir.error == ENOTDIR) continue;
    if (dir.error != 0) throwErrno(dir.error, "cannot make a directory in " + where());
    struct stat st;
    if (fstatat(dir.fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) continue;
    // Use the place only if it is known to be free.
    if (errno != ENOENT) throwErrno(errno, "cannot read " + where());
    if (!syncfsReaches_) touched_.emplace(run, parentOf(path));
    return {run, kj::mv(dir.fd), name};
  }
}

void Archive::explainingFullDisk(kj::FunctionParam<void()> work) const {
  try {
    work();
  } catch (const kj::Exception& e) {
    if (!isDiskFull(e)) throw;
    auto room = makeRoom(directory_);
    room.text =
        "Free some space on the archive's disk, or set 'archive_dir' in the config to another "
        "disk; this shows how much is left";
    throw NoRoomInArchive(
        FailureId::ARCHIVE_FULL,
        "the archive's disk has no room, so nothing was overwritten or deleted: " +
            withoutFullStop(escapeForTerminal(messageOf(e))),
        "The mirror is intact; the next run continues from here.", std::vector<Fix>{room});
  }
}

bool Archive::Preserved::holds(const struct stat& file) const {
  // A hard link includes later changes of the file. A copy does not, so size and time must match
  // too.
  return uint64_t(file.st_ino) == inode &&
         (!copied || (uint64_t(file.st_size) == size && mtimeOf(file) == mtime));
}

Archive::Preserved Archive::preserve(int dirFd, const std::string& name, const std::string& path,
                                     ArchiveReason reason) {
  Preserved preserved;
  KJ_ON_SCOPE_FAILURE(removeEmpty(path));
  explainingFullDisk([&]() {
    auto to = place(path, reason);
    if (linkat(dirFd, name.c_str(), to.dir, to.name.c_str(), 0) != 0) {
      // Another filesystem, or one without hard links.
      preserved = copyFile(dirFd, name, path, kj::mv(to));
      return;
    }
    struct stat st;
    if (fstatat(to.dir, to.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
      preserved = {to.run, path, uint64_t(st.st_ino), uint64_t(st.st_size), mtimeOf(st), false};
      return;
    }
    // The entry was replaced meanwhile, for example by a symlink.
    unlinkat(to.dir, to.name.c_str(), 0);
    throwErrno(EINVAL, "cannot archive '" + escapeForTerminal(path) + "'");
  });
  return preserved;
}

void Archive::discard(const Preserved& preserved) {
  auto& run = runDir(preserved.run);
  auto path = preserved.path;
  auto dir = run.open(parentOf(path), O_RDONLY | O_DIRECTORY);
  if (dir.error != 0 || unlinkat(dir.fd, std::string(baseNameOf(path)).c_str(), 0) != 0) return;
  removeEmpty(preserved.run, path);
}

void Archive::removeEmpty(const std::string& run, const std::string& path) {
  auto dir = runDirs_.find(run);
  if (dir == runDirs_.end()) return;
  for (auto below = std::string(parentOf(path)); !below.empty(); below = parentOf(below)) {
    auto above = dir->second.open(parentOf(below), O_RDONLY | O_DIRECTORY);
    if (above.error != 0) return;
    int error = unlinkat(above.fd, std::string(baseNameOf(below)).c_str(), AT_REMOVEDIR);
    if (error != 0 && errno != ENOENT) return;
  }
  if (unlinkat(spokeDir().fd(), run.c_str(), AT_REMOVEDIR) == 0) runDirs_.erase(dir);
}

void Archive::removeEmpty(const std::string& path) {
  std::vector<std::string> runs;
  for (auto& [run, dir] : runDirs_) runs.push_back(run);
  for (auto& run : runs) removeEmpty(run, path);
}

// Copies the file with its time. The copy gets its name when it is complete and on the disk, so
// that a killed hub or a power cut leaves no partial copy.
Archive::Preserved Archive::copyFile(int fromDir, const std::string& from, const std::string& path,
                                     Place to) {
  // O_NONBLOCK, because opening a FIFO would wait for a writer.
  kj::AutoCloseFd in(openat(fromDir, from.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st;
  if (in.get() < 0 || fstat(in, &st) != 0) {
    throwErrno(errno, "cannot read '" + escapeForTerminal(from) + "'");
  }
  if (!S_ISREG(st.st_mode)) throwErrno(EINVAL, "cannot read '" + escapeForTerminal(from) + "'");
  int staging = spokeDir().fd();
  unlinkat(staging, INCOMPLETE, 0);
  kj::AutoCloseFd out(
      openat(staging, INCOMPLETE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (out.get() < 0) throwErrno(errno, "cannot create a file in " + where());
  KJ_ON_SCOPE_FAILURE(unlinkat(staging, INCOMPLETE, 0));
  requireRoom(out, st);
  copyContent(in, out);
  if (fsync(out) != 0) throwErrno(errno, "cannot write to " + where());
  int error = renameToNew(staging, INCOMPLETE, to.dir, to.name.c_str());
  if (error != 0) throwErrno(error, "cannot create a file in " + where());
  return {to.run, path, uint64_t(st.st_ino), uint64_t(st.st_size), mtimeOf(st), true};
}

void Archive::clearStaging() const {
  kj::AutoCloseFd whole(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (whole.get() < 0) return;
  kj::AutoCloseFd spoke(
      openat(whole, spoke_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (spoke.get() >= 0) unlinkat(spoke, INCOMPLETE, 0);
}

void Archive::take(int dirFd, const std::string& name, const std::string& path,
                   ArchiveReason reason) {
  KJ_ON_SCOPE_FAILURE(removeEmpty(path));
  explainingFullDisk([&]() {
    auto to = place(path, reason);
    if (renameat(dirFd, name.c_str(), to.dir, to.name.c_str()) == 0) return;
    if (errno != EXDEV) throwErrno(errno, "cannot move to " + where());
    // On another filesystem, everything is copied and on the disk before anything is removed.
    std::vector<Copied> copied;
    copyTree(dirFd, name, path, reason, copied);
    flush();
    RootedDir from{kj::AutoCloseFd(openat(dirFd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
    for (auto& file : copied) {
      auto at = from.open(parentOf(file.path), O_RDONLY | O_DIRECTORY);
      auto base = std::string(baseNameOf(file.path));
      struct stat st;
      if (at.error != 0) throwErrno(at.error, "cannot remove an archived file");
      bool same = fstatat(at.fd, base.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                  (S_ISDIR(st.st_mode) || file.what.holds(st));
      KJ_REQUIRE(same, "a file was changed by someone else while it was archived");
      if (unlinkat(at.fd, base.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0) {
        throwErrno(errno, "cannot remove an archived file");
      }
    }
  });
}

// Appends what it copied to `copied`, in an order in which it can be removed: directories after
// their content.
void Archive::copyTree(int dirFd, const std::string& name, const std::string& path,
                       ArchiveReason reason, std::vector<Copied>& copied) {
  RootedDir root{kj::AutoCloseFd(openat(dirFd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
  std::function<void(const std::string&, const std::string&)> copy = [&](const std::string& from,
                                                                         const std::string& as) {
    auto opened = root.open(from, O_RDONLY | O_DIRECTORY);
    if (opened.error == ENOTDIR) {
      auto above = root.open(parentOf(from), O_RDONLY | O_DIRECTORY);
      if (above.error != 0) throwErrno(above.error, "cannot read a directory");
      auto what = copyFile(above.fd, std::string(baseNameOf(from)), as, place(as, reason));
      copied.push_back({from, std::move(what)});
      return;
    }
    if (opened.error != 0) {
      throwErrno(opened.error, "cannot read '" + escapeForTerminal(as) + "'");
    }
    for (auto& below : namesIn(opened.fd)) copy(joinPath(from, below), joinPath(as, below));
    copied.push_back({from, {}});
  };
  copy(name, path);
}

bool Archive::isElsewhere(uint64_t device) {
  bool elsewhere = true;
  explainingFullDisk([&]() {
    struct stat st;
    elsewhere = fstat(spokeDir().fd(), &st) != 0 || uint64_t(st.st_dev) != device;
  });
  return elsewhere;
}

// Flushes each directory with a new entry, and its parents, which may be new too. The copies
// themselves are on the disk already.
void Archive::fsyncTouched() {
  auto writeOut = [&](const RootedDir& root, std::string_view path) {
    auto opened = root.open(path, O_RDONLY | O_DIRECTORY);
    // EINVAL: the filesystem does not support this.
    if (opened.error == 0 && fsync(opened.fd) != 0 && errno != EINVAL) {
      throwErrno(errno, "cannot write " + where() + " to the disk");
    }
  };
  for (auto& [run, touched] : touched_) {
    auto dir = runDirs_.find(run);
    if (dir == runDirs_.end()) continue;
    std::string_view path = touched;
    for (; !path.empty(); path = parentOf(path)) writeOut(dir->second, path);
    writeOut(dir->second, "");
  }
  if (!touched_.empty()) writeOut(spokeDir(), "");
  touched_.clear();
}

void Archive::flush(uint64_t exceptOn) {
  if (!syncfsReaches_) fsyncTouched();
  if (runDirs_.empty() || !isElsewhere(exceptOn)) return;
  if (syncfs(spokeDir().fd()) != 0) throwErrno(errno, "cannot write " + where() + " to the disk");
}

}  // namespace pibrain
