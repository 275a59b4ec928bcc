// The part of Mirror that makes a change visible, after it was flushed to the disk.

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

namespace {

// Suffix of a staged file while it is exchanged with the file that it replaces.
constexpr std::string_view SWAPPED = ".swap";

std::string swappedName(const std::string& staged) {
  return staged.substr(0, staged.find('.')) + std::string(SWAPPED);
}

}  // namespace

bool Mirror::isSwapped(const std::string& stagedName) { return stagedName.ends_with(SWAPPED); }

void Mirror::reveal(Pending& pending) {
  switch (pending.kind) {
    case Pending::Kind::PUBLISH:
      unflushed_ = true;
      touch(parentOf(pending.path));
      touch(STAGING);
      publish(pending);
      return noteWritten(pending.path);
    case Pending::Kind::SETTLE:
      if (settle(pending)) noteWritten(pending.path);
      return;
    case Pending::Kind::ARCHIVE:
      unflushed_ = true;
      touch(parentOf(pending.path));
      archive(pending);
      return noteWritten(pending.path);
  }
}

void Mirror::publish(Pending& pending) {
  auto& path = pending.path;
  auto name = std::string(baseNameOf(path));
  int parent = directory(std::string(parentOf(path)));
  if (!pending.preserved && !pending.base) {
    // Usually the name is free.
    int error = renameToNew(staging(), stagedName(path).c_str(), parent, name.c_str());
    if (error == 0) {
      noteName(path);
      requirePublished(parent, name, path);
      if (traits_.changesNames) requireOwnName(parent, name, path);
      return;
    }
    if (error != EEXIST) throwErrno(error, "cannot publish " + inQuotes(path));
  }
  if (mayFold() || !pending.replaces) requireOwnName(parent, name, path);
  replace(parent, name, pending);
}

// Replaces the existing entry by the staged file.
void Mirror::replace(int parent, const std::string& name, Pending& pending) {
  auto& path = pending.path;
  auto staged = stagedName(path);
  struct stat st;
  bool there = fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  // An entry that cannot be read cannot be archived.
  if (!there && errno != ENOENT) throwErrno(errno, "cannot publish " + inQuotes(path));
  if (there && !S_ISREG(st.st_mode)) {
    requireReplaceable(parent, name, path);
    parent = directory(std::string(parentOf(path)));
    there = false;
  }
  if (!there) {
    int error = renameToNew(staging(), staged.c_str(), parent, name.c_str());
    if (error != 0) throwErrno(error, "cannot publish " + inQuotes(path));
    noteName(path);
    return requirePublished(parent, name, path);
  }
  auto reason = reasonToReplace(path);
  if (pending.base && !pending.base->holds(st)) {
    pending.base.reset();
    reason = ArchiveReason::EDITED;  // during this run
  }
  if (!pending.preserved && !pending.base && st.st_size > 0) {
    pending.preserved = archive_.preserve(parent, name, path, reason);
    if (pending.preserved->copied) archive_.flush();
  }
  auto swapped = swappedName(staged);
  {
    KJ_ON_SCOPE_FAILURE({
      renameat(staging_, swapped.c_str(), staging_, staged.c_str());
      if (pending.preserved) archive_.discard(*pending.preserved);
    });
    if (renameat(staging(), staged.c_str(), staging(), swapped.c_str()) != 0) {
      throwErrno(errno, "cannot publish " + inQuotes(path));
    }
    exchange(parent, name, pending);
  }
  requirePublished(parent, name, path);
}

// Exchanges the staged file with the one that it replaces, in one step, and then checks the latter:
// somebody may have saved another file there since it was archived.
void Mirror::exchange(int parent, const std::string& name, const Pending& pending) {
  auto swapped = swappedName(stagedName(pending.path));
  struct stat st;
  auto isPreserved = [&]() {
    return S_ISREG(st.st_mode) &&
           (st.st_size == 0 || (pending.preserved && pending.preserved->holds(st)) ||
            (pending.base && pending.base->holds(st)));
  };
  if (renameat2(staging(), swapped.c_str(), parent, name.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) {
      throwErrno(errno, "cannot publish " + inQuotes(pending.path));
    }
    // The filesystem does not support the exchange: check first, then rename.
    KJ_REQUIRE(fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && isPreserved(),
               "the mirror's file was changed by someone else during the run");
    if (renameat(staging(), swapped.c_str(), parent, name.c_str()) != 0) {
      throwErrno(errno, "cannot publish " + inQuotes(pending.path));
    }
    return;
  }
  if (fstatat(staging(), swapped.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (isPreserved()) {
    unlinkat(staging(), swapped.c_str(), 0);
  } else if (S_ISREG(st.st_mode)) {
    archive_.take(staging(), swapped, pending.path, ArchiveReason::EDITED);
  } else {
    renameat2(staging(), swapped.c_str(), parent, name.c_str(), RENAME_EXCHANGE);
    KJ_FAIL_REQUIRE("the mirror's file was replaced by someone else during the run");
  }
}

// Sets the file's true time. Returns false if somebody changed it; the next run looks at it.
bool Mirror::settle(const Pending& pending) {
  int parent = directory(std::string(parentOf(pending.path)));
  auto name = std::string(baseNameOf(pending.path));
  struct stat st;
  bool same = fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
              uint64_t(st.st_ino) == pending.inode && uint64_t(st.st_size) == pending.size &&
              mtimeOf(st) == earlierThan(pending.mtime);
  if (same) setMtimeOf(parent, name, pending.mtime);
  return same;
}

void Mirror::archive(Pending& pending) {
  if (!stillNamed(pending.path)) {
    if (pending.preserved) archive_.discard(*pending.preserved);
    return;
  }
  auto name = std::string(baseNameOf(pending.path));
  int parent = directory(std::string(parentOf(pending.path)));
  struct stat st;
  if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) return;
  if (!pending.preserved) {
    archive_.take(parent, name, pending.path, ArchiveReason::DELETED);
  } else {
    // Moves the file aside first and then checks it, since somebody may have saved another file
    // there.
    auto aside = swappedName(stagedName(pending.path));
    if (renameat(parent, name.c_str(), staging(), aside.c_str()) != 0) {
      int error = errno;
      archive_.discard(*pending.preserved);
      throwErrno(error, "cannot remove " + inQuotes(pending.path));
    }
    bool same = fstatat(staging(), aside.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(st.st_mode) && pending.preserved->holds(st);
    if (same) {
      unlinkat(staging(), aside.c_str(), 0);
    } else {
      archive_.take(staging(), aside, pending.path, ArchiveReason::EDITED);
    }
  }
  names_.remove(pending.path);
  removeEmptyParents(pending.path);
}

}  // namespace pibrain
