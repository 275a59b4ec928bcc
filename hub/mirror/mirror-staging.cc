// The part of Mirror for staged files, which have no name in the mirror yet.

#include "hub/mirror/mirror.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs/file-io.h"
#include "common/fs/io-error.h"

namespace pibrain {

std::string Mirror::stagedName(const std::string& path, Staged what) {
  auto hash = digestOf(kj::arrayPtr(reinterpret_cast<const kj::byte*>(path.data()), path.size()));
  return absl::StrCat(absl::Hex(hash.high, absl::kZeroPad16), absl::Hex(hash.low, absl::kZeroPad16),
                      what == Staged::FILE ? ".part" : ".tail");
}

int Mirror::staging() {
  onlyProbed_ = false;
  if (staging_.get() < 0) {
    auto& root = KJ_ASSERT_NONNULL(root_);
    staging_ = makeDirectoriesBeneath(root, std::string(STAGING), where());
  }
  return staging_;
}

kj::AutoCloseFd Mirror::openStaged(const std::string& path, bool continued, Staged what) {
  auto name = stagedName(path, what);
  if (!continued) return createStaged(name);
  kj::AutoCloseFd fd(openat(staging(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st;
  if (fd.get() < 0 || fstat(fd, &st) != 0) throwErrno(errno, "cannot open an incomplete file");
  KJ_REQUIRE(S_ISREG(st.st_mode) && st.st_nlink == 1,
             "what was left of an interrupted transfer was changed by someone else");
  return fd;
}

// Creates a new file. Never opens an existing entry: it could be a FIFO, on which writing would
// block, or a hard link to another file.
kj::AutoCloseFd Mirror::createStaged(const std::string& name) {
  constexpr int ATTEMPTS = 3;
  for (int attempt = 1;; ++attempt) {
    int fd = openat(staging(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) return kj::AutoCloseFd(fd);
    if (errno != EEXIST || attempt == ATTEMPTS || unlinkat(staging(), name.c_str(), 0) != 0) {
      throwErrno(errno, "cannot create a file in " + where());
    }
  }
}

void Mirror::discardStaged(const std::string& path, Staged what) {
  unlinkat(staging(), stagedName(path, what).c_str(), 0);
}

void Mirror::clearStaging() {
  emptyStaging();
  auto opened = KJ_ASSERT_NONNULL(root_).open(STAGING, O_RDONLY | O_DIRECTORY);
  if (opened.error == 0) unlinkat(opened.fd, LostWrites::NAME, 0);
  lost_ = {};
  unclean_ = false;
  removeStagingIfEmpty();
}

// Removes everything but the mark of lost writes.
void Mirror::emptyStaging() {
  archive_.clearStaging();
  auto& root = KJ_ASSERT_NONNULL(root_);
  auto opened = root.open(STAGING, O_RDONLY | O_DIRECTORY);
  if (opened.error != 0) return;
  archiveReplaced();
  for (auto& name : namesIn(opened.fd)) {
    if (isSwapped(name)) {
      // A run was killed between exchanging two files and checking the old one.
      archive_.take(opened.fd, name, "recovered/" + name.substr(0, name.find('.')),
                    ArchiveReason::RECOVERED);
    } else if (name != LostWrites::NAME) {
      unlinkat(opened.fd, name.c_str(), 0);
    }
  }
}

void Mirror::archiveReplaced() {
  auto& root = KJ_ASSERT_NONNULL(root_);
  auto replaced = joinPath(STAGING, REPLACED);
  auto opened = root.open(replaced, O_RDONLY | O_DIRECTORY);
  if (opened.error != 0) return;
  for (auto& path : edited_) archiveEdited(opened.fd, path);
  for (auto& name : namesIn(opened.fd)) {
    unflushed_ = true;
    archive_.take(opened.fd, name, name, reason_);
  }
  auto above = root.open(STAGING, O_RDONLY | O_DIRECTORY);
  unlinkat(above.fd, std::string(REPLACED).c_str(), AT_REMOVEDIR);
}

// Archives the file, if it exists, and removes directories that are then empty.
void Mirror::archiveEdited(int replaced, const std::string& path) {
  RootedDir whole{kj::AutoCloseFd(openat(replaced, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
  auto parent = whole.open(parentOf(path), O_RDONLY | O_DIRECTORY);
  auto name = std::string(baseNameOf(path));
  struct stat st;
  if (parent.error != 0 || fstatat(parent.fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return;
  unflushed_ = true;
  archive_.take(parent.fd, name, path, ArchiveReason::EDITED);
  for (auto dir = std::string(parentOf(path)); !dir.empty(); dir = std::string(parentOf(dir))) {
    auto above = whole.open(parentOf(dir), O_RDONLY | O_DIRECTORY);
    auto base = std::string(baseNameOf(dir));
    if (above.error != 0 || unlinkat(above.fd, base.c_str(), AT_REMOVEDIR) != 0) return;
  }
}

void Mirror::handOver() {
  emptyStaging();
  if (mkdirat(staging(), std::string(REPLACED).c_str(), 0700) != 0) {
    throwErrno(errno, "cannot create a directory in " + where());
  }
  // EINVAL: the filesystem does not support this.
  if (fsync(KJ_ASSERT_NONNULL(root_).fd()) != 0 && errno != EINVAL) {
    throwErrno(errno, "cannot write " + where() + " to the disk");
  }
}

void Mirror::takeBack() {
  names_.forgetAll();
  flush();
}

void Mirror::removeStagingIfEmpty() {
  staging_ = nullptr;
  if (unclean_) return;  // the directory marks an unfinished run
  unlinkat(KJ_ASSERT_NONNULL(root_).fd(), std::string(STAGING).c_str(), AT_REMOVEDIR);
}

}  // namespace pibrain
