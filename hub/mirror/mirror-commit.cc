// The part of Mirror that collects pending changes, and flushes them to the disk.

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

namespace {

// Limits on pending changes: a replacement takes space twice, and pending files are not visible
// yet.
constexpr size_t MAX_PENDING = 4096;
constexpr uint64_t MAX_PENDING_BYTES = 512 << 20;
constexpr int64_t MAX_PENDING_NANOS = 5'000'000'000;

int64_t monotonicNanos() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int64_t Mirror::earlierThan(int64_t mtime) const {
  auto& times = traits_.times;
  int64_t stored = times.stored(mtime), earlier = 0;
  if (__builtin_sub_overflow(stored, std::max<int64_t>(times.grain, 1), &earlier) ||
      times.stored(earlier) == stored) {
    return stored + times.grain;  // stored is the oldest time, so use another one
  }
  return times.stored(earlier);
}

void Mirror::addPending(Pending pending, uint64_t bytes) {
  if (pending_.empty()) oldestPending_ = monotonicNanos();
  pendingBytes_ += bytes;
  pending_.push_back(kj::mv(pending));
}

void Mirror::publish(const std::string& path, bool replaces) {
  Pending pending{Pending::Kind::PUBLISH, path};
  pending.replaces = replaces;
  struct stat st;
  bool known = replaces && fstatat(staging(), stagedName(path).c_str(), &st, 0) == 0;
  addPending(kj::mv(pending), known ? uint64_t(st.st_size) : 0);
  staged_.insert(path);
}

void Mirror::publishGrown(const std::string& path, const struct stat& base) {
  publish(path);
  pending_.back().base = Archive::Preserved{
      "", path, uint64_t(base.st_ino), uint64_t(base.st_size), mtimeOf(base), true};
}

void Mirror::settle(const std::string& path, int fd, int64_t mtime) {
  Pending pending{Pending::Kind::SETTLE, path};
  setMtime(fd, earlierThan(mtime));
  struct stat st;
  if (fstat(fd, &st) != 0) throwErrno(errno, "cannot read " + inQuotes(path));
  pending.inode = uint64_t(st.st_ino);
  pending.size = uint64_t(st.st_size);
  pending.mtime = mtime;
  addPending(kj::mv(pending), 0);
}

bool Mirror::archiveFile(const std::string& path) {
  auto name = std::string(baseNameOf(path));
  auto parent = KJ_ASSERT_NONNULL(root_).open(parentOf(path), O_RDONLY | O_DIRECTORY);
  struct stat st = {};
  int error = parent.error != 0                                                 ? parent.error
              : fstatat(parent.fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 ? 0
                                                                                : errno;
  if (error != 0 && error != ENOENT && error != ENOTDIR) {
    throwErrno(error, "cannot read " + inQuotes(path));
  }
  if (error != 0 || !S_ISREG(st.st_mode) || !stillNamed(path)) return false;
  addPending({Pending::Kind::ARCHIVE, path}, 0);
  return true;
}

bool Mirror::shouldFlush() const {
  return !pending_.empty() &&
         (pending_.size() >= MAX_PENDING || pendingBytes_ >= MAX_PENDING_BYTES ||
          monotonicNanos() - oldestPending_ >= MAX_PENDING_NANOS);
}

template <typename Step>
void Mirror::attempt(Pending& pending, std::vector<Uncommitted>& uncommitted, Step&& step) {
  auto failed = [&](kj::Exception why, std::optional<Remedy> remedy) {
    pending.failed = true;
    uncommitted.push_back({pending.path, kj::mv(why), std::move(remedy)});
  };
  // The run goes on, since another file may need less space or none.
  auto failedForRoom = [&](const std::string& why, const Remedy& remedy) {
    failed(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::heapString(why)),
           remedy);
  };
  try {
    step();
  } catch (const kj::Exception& e) {
    if (isDiskFull(e)) {
      failedForRoom(messageOf(e), makeRoom());
    } else {
      auto error = errnoOf(e);
      failed(kj::cp(e), error ? remedyFor(*error, path_) : std::nullopt);
    }
  } catch (const NoRoomInArchive& e) {
    failedForRoom(e.summary(), {e.id(), e.fixes().at(0)});
  }
}

bool Mirror::hasRoomFor(uint64_t bytes, bool newFile) const {
  struct statvfs fs;
  if (fstatvfs(KJ_ASSERT_NONNULL(root_).fd(), &fs) != 0 || fs.f_blocks == 0) return true;
  bool inode = !newFile || fs.f_files == 0 || fs.f_favail > 0;
  return inode && bytes <= uint64_t(fs.f_bavail) * fs.f_frsize;
}

Remedy Mirror::makeRoom() const { return {FailureId::DISK_FULL, pibrain::makeRoom(path_)}; }

void Mirror::flushPending(std::vector<Uncommitted>& uncommitted) {
  if (pending_.empty()) return;
  staging();  // its existence marks an unfinished run
  auto pending = kj::mv(pending_);
  pending_.clear();
  pendingBytes_ = 0;
  for (auto& one : pending) {
    attempt(one, uncommitted, [&]() { preserve(one); });
  }
  {
    KJ_ON_SCOPE_FAILURE({
      for (auto& one : pending) {
        staged_.erase(one.path);
        if (one.preserved) archive_.discard(*one.preserved);
      }
    });
    flush(&pending);
  }
  for (auto& one : pending) {
    if (one.failed) {
      staged_.erase(one.path);
    } else {
      written_.push_back(kj::mv(one));
    }
  }
}

void Mirror::revealSome(size_t count, std::vector<Uncommitted>& uncommitted) {
  for (; count > 0 && !written_.empty(); --count) {
    auto one = kj::mv(written_.front());
    written_.pop_front();
    attempt(one, uncommitted, [&]() { reveal(one); });
    if (one.kind == Pending::Kind::PUBLISH) staged_.erase(one.path);
  }
}

std::vector<Mirror::Uncommitted> Mirror::commit() {
  std::vector<Uncommitted> uncommitted;
  // What is on the disk becomes visible even if the disk is full now.
  revealSome(SIZE_MAX, uncommitted);
  flushPending(uncommitted);
  revealSome(SIZE_MAX, uncommitted);
  // Otherwise a run that is interrupted repeatedly would start over each time.
  if (foundAgain_) lost_.writeTo(staging());
  foundAgain_ = false;
  return uncommitted;
}

std::vector<Mirror::Uncommitted> Mirror::proceed() {
  // A few at a time, as fast as files arrive: making a whole batch visible at once would stall the
  // connection.
  constexpr size_t STEP = 2;
  std::vector<Uncommitted> uncommitted;
  if (shouldFlush()) {
    revealSome(SIZE_MAX, uncommitted);
    flushPending(uncommitted);
  }
  revealSome(STEP, uncommitted);
  return uncommitted;
}

void Mirror::fail(const Uncommitted& uncommitted) {
  if (uncommitted.remedy) {
    throw Failure(uncommitted.remedy->id, withoutFullStop(messageOf(uncommitted.why)),
                  "The mirror is intact.", {uncommitted.remedy->fix});
  }
  kj::throwFatalException(kj::cp(uncommitted.why));
  KJ_UNREACHABLE;
}

void Mirror::requireOfSingleFiles(const std::vector<Uncommitted>& uncommitted) {
  for (auto& one : uncommitted) {
    if (one.why.getType() != kj::Exception::Type::FAILED) fail(one);
  }
}

void Mirror::finish(const Left& left) {
  auto uncommitted = commit();
  if (!uncommitted.empty()) fail(uncommitted[0]);
  if (unflushed_) flush();
  if (!unclean_ || (!left.more && left.paths.empty())) return clearStaging();
  emptyStaging();
  if (!left.more) lost_.keepOnly(left.paths);
  lost_.writeTo(staging());
}

// The file is on the disk now, so it is no longer lost.
void Mirror::noteWritten(const std::string& path) { foundAgain_ |= lost_.remove(path); }

// Archives what will be replaced or removed, before the flush.
void Mirror::preserve(Pending& pending) {
  bool replaced = pending.kind == Pending::Kind::PUBLISH && pending.replaces;
  bool removed = pending.kind == Pending::Kind::ARCHIVE;
  // On the same filesystem, a rename moves the file to the archive later.
  if (removed) removed = archive_.isElsewhere(device());
  if ((!replaced && !removed) || pending.base) return;
  if (removed && !stillNamed(pending.path)) return;
  struct stat st;
  int parent = directory(std::string(parentOf(pending.path)));
  auto name = std::string(baseNameOf(pending.path));
  if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) return;
  if (replaced && st.st_size == 0) return;
  if (mayFold()) requireOwnName(parent, name, pending.path);
  pending.preserved = archive_.preserve(
      parent, name, pending.path, removed ? ArchiveReason::DELETED : reasonToReplace(pending.path));
}

uint64_t Mirror::device() const {
  struct stat st;
  return fstat(KJ_ASSERT_NONNULL(root_).fd(), &st) == 0 ? uint64_t(st.st_dev) : 0;
}

void Mirror::flush(const std::vector<Pending>* pending) {
  try {
    int root = KJ_ASSERT_NONNULL(root_).fd();
    archive_.flush(device());
    if (!syncfsReaches_) fsyncEach(pending);
    if (syncfs(root) != 0) throwErrno(errno, "cannot write " + where() + " to the disk");
    unflushed_ = false;
  } catch (const kj::Exception& e) {
    noteLostWrites(pending);
    throw Failure(
        FailureId::WRITES_LOST,
        absl::StrCat("the hub's disk failed to store what was written: ",
                     withoutFullStop(escapeForTerminal(messageOf(e)))),
        "Files that look complete may be damaged; the next run fetches them again.",
        {{"Check the kernel's messages for disk errors", "sudo dmesg | tail"}, makeRoom().fix});
  }
}

// Flushes one by one, where syncfs(2) does not work: files that will become visible or get their
// times, and directories whose entries changed.
void Mirror::fsyncEach(const std::vector<Pending>* pending) {
  auto& root = KJ_ASSERT_NONNULL(root_);
  auto writeOut = [&](const std::string& path, int flags) {
    auto opened = root.open(path, O_RDONLY | flags);
    bool gone = opened.error == ENOENT || opened.error == ENOTDIR;
    if (opened.error != 0 && !gone) throwErrno(opened.error, "cannot open " + inQuotes(path));
    // EINVAL: the filesystem does not support this for directories.
    if (opened.error == 0 && fsync(opened.fd) != 0 && (flags == 0 || errno != EINVAL)) {
      throwErrno(errno, "cannot write " + where() + " to the disk");
    }
  };
  if (pending != nullptr) {
    for (auto& one : *pending) {
      if (one.kind == Pending::Kind::SETTLE) writeOut(one.path, 0);
      if (one.kind == Pending::Kind::PUBLISH && !one.failed) {
        writeOut(joinPath(STAGING, stagedName(one.path)), 0);
      }
    }
  }
  for (auto& path : touched_) writeOut(path, O_DIRECTORY);
  touched_.clear();
}

void Mirror::touch(std::string_view directory) {
  if (!syncfsReaches_) touched_.emplace(directory);
}

void Mirror::noteLostWrites(const std::vector<Pending>* pending) {
  unclean_ = true;
  if (pending == nullptr) {
    lost_.addAll();
  } else {
    for (auto& one : *pending) lost_.add(one.path);
  }
  kj::runCatchingExceptions([&]() {
    lost_.writeTo(staging());
    // Staged files are just as doubtful, so they are not continued.
    for (auto& name : namesIn(staging())) {
      if (!isSwapped(name) && name != LostWrites::NAME) unlinkat(staging(), name.c_str(), 0);
    }
  });
}

}  // namespace pibrain
