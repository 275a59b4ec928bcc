#include "hub/mirror/mirror.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "common/fs/copy.h"
#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/tree/tree-walk.h"
#include "hub/base/failure.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

// Many, because files arrive in order of age, from all projects of a spoke in turn. Limited,
// because many spokes run in one process.
constexpr rlim_t MAX_OPEN_DIRECTORIES = 256;

// How long to wait for the lock. A watch that has it gives it back sooner.
constexpr std::chrono::milliseconds PATIENCE(2000), AT_ONCE(0), LOOK_AGAIN(2);

// Returns false, with errno, if the file cannot be locked within `patience`. There is no flock(2)
// with a time limit.
bool lockFile(int fd, std::chrono::milliseconds patience) {
  auto until = std::chrono::steady_clock::now() + patience;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(LOOK_AGAIN);
  }
  return true;
}

size_t openDirectories() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 16;
  return size_t(std::clamp<rlim_t>(limit.rlim_cur / 32, 16, MAX_OPEN_DIRECTORIES));
}

}  // namespace

Mirror::Mirror(const std::string& path, Access access, Archive archive)
    : path_(path), archive_(kj::mv(archive)), maxDirectories_(openDirectories()) {
  if (access != Access::READ) {
    auto made = makeDirectories(path);
    auto parent = escapeForTerminal(shellQuote(std::string(parentOf(path))));
    if (!made.ok()) {
      auto why = whyNotWritable(path).value_or(withoutFullStop(std::string(made.message())));
      why[0] = absl::ascii_toupper(uint8_t(why[0]));
      throw Failure(FailureId::MIRROR_UNUSABLE,
                    absl::StrCat("the mirror ", inQuotes(path), " cannot be created"), why + ".",
                    {{"Check 'path' in the config, and the owner of the directory above it",
                      "ls -ld " + parent}});
    }
  }
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto quoted = escapeForTerminal(shellQuote(path));
  if (fd < 0 && errno == ENOENT && access == Access::READ) return;
  if (fd < 0) {
    throw Failure(
        FailureId::MIRROR_UNUSABLE,
        absl::StrCat("the mirror ", inQuotes(path), " cannot be opened: ", strerror(errno)), "",
        {{"Check 'path' in the config, and the owner of the mirror", "ls -ld " + quoted}});
  }
  root_ = RootedDir(kj::AutoCloseFd(fd));
  if (access != Access::READ && !lockFile(fd, access == Access::WRITE ? PATIENCE : AT_ONCE)) {
    if (errno == EWOULDBLOCK) {
      throw Failure(FailureId::MIRROR_IN_USE, "another run is syncing this spoke", "",
                    {{"Try again when that run has ended", ""}});
    }
    throw Failure(
        FailureId::MIRROR_UNUSABLE,
        absl::StrCat("the mirror ", inQuotes(path), " cannot be locked: ", strerror(errno)),
        "Its filesystem may not support locks.",
        {{"Move the mirror to another filesystem, and correct 'path' in the config; this shows the "
          "present one",
          "findmnt -T " + quoted}});
  }
  auto left = KJ_ASSERT_NONNULL(root_).open(STAGING, O_RDONLY | O_DIRECTORY);
  unclean_ = left.error == 0;
  struct stat st;
  if (!unclean_ && fstat(fd, &st) == 0) lastChange_ = ctimeOf(st);
  syncfsReaches_ = pibrain::syncfsReaches(fd);
  lost_ = LostWrites::readFrom(left.fd);
}

std::string Mirror::where() const { return "the mirror " + escapeForTerminal(path_); }

Tree Mirror::walk() const {
  KJ_IF_MAYBE(root, root_) {
    WalkOptions options;
    options.skip = STAGING;
    options.digests.modes = keepsModes();
    return walkTree(root->fd(), options);
  }
  return Tree();
}

// A sync gives files the spoke's modification times, which are from before it fetched them. So
// someone else changed a file if both its modification time and its inode's change time are later
// than the last run. Either alone proves nothing: a hard link or a new mode changes the inode's
// time, and a spoke whose clock is ahead gives late modification times.
void Mirror::noteEdits(const Tree& tree) {
  for (auto& directory : tree.directories) {
    for (auto& file : directory.files) {
      if (file.mtime <= lastChange_) continue;
      auto opened = KJ_ASSERT_NONNULL(root_).open(directory.path, O_RDONLY | O_DIRECTORY);
      auto name = std::string(directory.name(file));
      struct stat st;
      if (opened.error == 0 && fstatat(opened.fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
          ctimeOf(st) > lastChange_) {
        edited_.insert(directory.pathOf(file));
      }
    }
  }
}

ArchiveReason Mirror::reasonToReplace(const std::string& path) const {
  return edited_.contains(path) ? ArchiveReason::EDITED : reason_;
}

void Mirror::makeLostUnlike(Tree& tree, const DigestOptions& options) const {
  if (lost_.paths().empty()) return;
  for (auto& directory : tree.directories) {
    bool changed = false;
    for (auto& file : directory.files) {
      if (!lost_.paths().contains(directory.pathOf(file))) continue;
      file.mtime = INT64_MIN;
      changed = true;
    }
    if (changed) directory.digest = digestOf(directory, options);
  }
}

Mirror::~Mirror() noexcept(false) {
  if (onlyProbed_ && staging_.get() >= 0) removeStagingIfEmpty();
}

FilesystemTraits Mirror::probe() {
  // Keeps the directory if an earlier run left it, since it marks an unfinished run.
  auto traits = probeFilesystem(staging());
  onlyProbed_ = !unclean_;
  return traits;
}

std::string Mirror::filesystem() const {
  KJ_IF_MAYBE(root, root_) return filesystemIdentity(root->fd());
  return "";
}

void Mirror::closeToOthers(int fd) const {
  struct stat st;
  if (keepModes_ || fstat(fd, &st) != 0 || (st.st_mode & 077) == 0) return;
  (void)fchmod(fd, st.st_mode & 0700);  // may fail for another user's file
}

kj::Maybe<Mirror::File> Mirror::openFile(const std::string& path) {
  KJ_IF_MAYBE(root, root_) {
    bool staged = !staged_.empty() && staged_.contains(path);
    auto opened =
        root->open(staged ? joinPath(std::string(STAGING), stagedName(path)) : path, O_RDONLY);
    struct stat st;
    if (opened.error != 0 || fstat(opened.fd, &st) != 0 || !S_ISREG(st.st_mode)) return nullptr;
    return File{kj::mv(opened.fd), uint64_t(st.st_size), mtimeOf(st)};
  }
  return nullptr;
}

kj::Maybe<Mirror::File> Mirror::openPartial(const std::string& path, Staged what) {
  return openFile(joinPath(std::string(STAGING), stagedName(path, what)));
}

void Mirror::writeCache() {
  if (cacheWritten_) return;
  cacheWritten_ = true;
  // An error here belongs to earlier runs, and reading will show it.
  KJ_IF_MAYBE(root, root_) (void)syncfs(root->fd());
}

void Mirror::readFromDisk(const File& file) {
  // Pages that are not written yet cannot be dropped from the cache.
  writeCache();
  (void)posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED);
}

int Mirror::directory(const std::string& path) {
  if (path.empty()) return KJ_ASSERT_NONNULL(root_).fd();
  auto found = directories_.find(path);
  if (found != directories_.end()) return found->second;
  auto opened = KJ_ASSERT_NONNULL(root_).open(path, O_RDONLY | O_DIRECTORY);
  auto renames = renames_;
  if (opened.error == 0 && (mayFold() || !isKnownDirectory(path))) {
    requireOwnDirectory(path, opened.fd);
  }
  if (renames_ != renames) {
    // On FUSE, descriptors of a renamed directory and its content may be invalid.
    directories_.clear();
    opened = KJ_ASSERT_NONNULL(root_).open(path, O_RDONLY | O_DIRECTORY);
  }
  if (opened.error == 0) closeToOthers(opened.fd);
  if (opened.error != 0) {
    auto above = std::string(parentOf(path));
    auto name = std::string(baseNameOf(path));
    int parent = directory(above);
    struct stat st;
    if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
      requireReplaceable(parent, name, path);
      parent = directory(above);
    }
    touch(above);
    if (mkdirat(parent, name.c_str(), 0700) == 0) {
      noteName(path);
      made_.insert(path);
    } else if (errno != EEXIST) {
      throwErrno(errno, "cannot create the directory " + inQuotes(path));
    }
    int fd = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
      throwErrno(errno,
                 absl::StrCat("cannot open the mirror's directory ", inQuotes(path_ + "/" + path),
                              " (check its owner and mode with 'ls -ld ",
                              escapeForTerminal(shellQuote(path_ + "/" + path)), "')"));
    }
    opened.fd = kj::AutoCloseFd(fd);
  }
  if (directories_.size() >= maxDirectories_) directories_.clear();
  return directories_.insert_or_assign(path, kj::mv(opened.fd)).first->second;
}

// Throws if the mirror has a file where the spoke has a directory, or the other way round: only a
// deletion, with its safeguards (P5), removes files. Removes an empty directory. Invalidates all
// descriptors that directory() returned.
void Mirror::requireReplaceable(int parent, const std::string& name, const std::string& path) {
  struct stat st;
  if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (S_ISDIR(st.st_mode) && unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) {
    directories_.clear();
    names_.remove(path);
    made_.erase(path);
    return;
  }
  if (S_ISDIR(st.st_mode) && errno != ENOTEMPTY && errno != EEXIST) {
    throwErrno(errno, "cannot remove the directory " + inQuotes(path));
  }
  auto what =
      S_ISLNK(st.st_mode) ? "there is a symlink in the mirror at "
      : S_ISDIR(st.st_mode)
          ? "the mirror has a directory of this name with files that the spoke no longer has: "
          : "the mirror has a file of this name, which the spoke no longer has: ";
  auto fix = S_ISLNK(st.st_mode)
                 ? ", which no sync made. Remove it"
                 : ". Move it to the archive with a run with --delete, or remove it by hand";
  kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                                        kj::str(what, inQuotes(path).c_str(), fix)));
}

// Throws if somebody replaced the staged file, for example by a symlink.
void Mirror::requirePublished(int parent, const std::string& name, const std::string& path) {
  struct stat st;
  if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) return;
  unlinkat(parent, name.c_str(), 0);
  KJ_FAIL_REQUIRE("the staged file was replaced by someone else during the run", path.c_str());
}

kj::AutoCloseFd Mirror::openForAppend(const std::string& path, uint64_t size, int64_t mtime) {
  staging();  // its existence marks an unfinished run
  unflushed_ = true;
  auto name = std::string(baseNameOf(path));
  int parent = directory(std::string(parentOf(path)));
  for (int attempt = 0;; ++attempt) {
    int fd = openat(parent, name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throwErrno(errno, "cannot open " + inQuotes(path));
    File file{kj::AutoCloseFd(fd), 0, 0};
    struct stat st;
    if (fstat(fd, &st) != 0) throwErrno(errno, "cannot open " + inQuotes(path));
    bool same = S_ISREG(st.st_mode) && uint64_t(st.st_size) == size && mtimeOf(st) == mtime;
    KJ_REQUIRE(same, "the mirror's file was changed by someone else during the run");
    closeToOthers(fd);
    if (st.st_nlink == 1) return kj::mv(file.fd);
    KJ_REQUIRE(attempt == 0, "another process keeps making hard links to the mirror's file");
    file.size = size;
    file.mtime = mtime;
    breakLink(parent, name, file);
  }
}

void Mirror::breakLink(int parent, const std::string& name, const File& file) {
  auto copy = stagedName(name + "/link");
  auto out = createStaged(copy);
  KJ_ON_SCOPE_FAILURE(unlinkat(staging_, copy.c_str(), 0));
  copyBeginning(file.fd, file.size, out);
  setMtime(out, file.mtime);
  if (fsync(out) != 0) throwErrno(errno, "cannot write a file to the disk");
  if (renameat(staging(), copy.c_str(), parent, name.c_str()) != 0) {
    throwErrno(errno, "cannot replace a file that has a second hard link");
  }
}

void Mirror::move(const std::string& from, const std::string& to) {
  auto parent = std::string(parentOf(to)), name = std::string(baseNameOf(to));
  int target = directory(parent);
  struct stat st;
  if (fstatat(target, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)) {
    requireReplaceable(target, name, to);
    target = directory(parent);
  }
  if (traits_.foldsNames && absl::EqualsIgnoreCase(from, to)) {
    // The target exists already under another spelling, as does its directory.
    requireOwnName(target, name, to);
    unflushed_ = true;
    return;
  }
  // Opened only now, because preparing the target may have renamed its directory.
  auto opened = KJ_ASSERT_NONNULL(root_).open(parentOf(from), O_RDONLY | O_DIRECTORY);
  if (opened.error != 0) throwErrno(opened.error, "cannot open a directory");
  int source = opened.fd;
  auto oldName = std::string(baseNameOf(from));
  int error = renameToNew(source, oldName.c_str(), target, name.c_str());
  if (error == EEXIST) {
    requireOwnName(target, name, to);
    if (mayFold() && !hasOwnPath(from)) {
      unflushed_ = true;  // the move changed the mirror
      return;
    }
  }
  if (error != 0) throwErrno(error, "cannot move " + inQuotes(from) + " to " + inQuotes(to));
  names_.remove(from);
  noteName(to);
  unflushed_ = true;
  touch(parent);
  touch(parentOf(from));
  removeEmptyParents(from);
}

void Mirror::removeEmptyParents(const std::string& path) {
  for (auto dir = std::string(parentOf(path)); !dir.empty(); dir = std::string(parentOf(dir))) {
    directories_.erase(dir);
    auto parent = KJ_ASSERT_NONNULL(root_).open(parentOf(dir), O_RDONLY | O_DIRECTORY);
    if (parent.error != 0 ||
        unlinkat(parent.fd, std::string(baseNameOf(dir)).c_str(), AT_REMOVEDIR) != 0) {
      return;
    }
    names_.remove(dir);
    made_.erase(dir);
    touch(parentOf(dir));
  }
}

int Mirror::lockFd() const { return KJ_ASSERT_NONNULL(root_).fd(); }

}  // namespace pibrain
