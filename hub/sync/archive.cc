#include "hub/sync/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <vector>

#include "common/file-io.h"
#include "common/text.h"
#include "hub/files.h"

namespace pibrain {

namespace {

std::string runName(int64_t nanos) {
  time_t seconds = nanos / 1'000'000'000;
  struct tm parts;
  gmtime_r(&seconds, &parts);
  char out[48];
  size_t n = strftime(out, sizeof(out), "%Y%m%dT%H%M%S", &parts);
  snprintf(out + n, sizeof(out) - n, ".%03dZ", int(nanos / 1'000'000 % 1000));
  return out;
}

// A copy of the file, under a name that did not exist, with its time. Gone again if it fails.
void copyFile(int fromDir, const std::string& from, int toDir, const std::string& to) {
  // Not to wait for a writer if it has become a FIFO.
  kj::AutoCloseFd in(openat(fromDir, from.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (in < 0) throwErrno(errno, "cannot read '" + escapeForTerminal(from) + "'");
  struct stat st;
  if (fstat(in, &st) != 0) throwErrno(errno, "cannot read '" + escapeForTerminal(from) + "'");
  if (!S_ISREG(st.st_mode)) throwErrno(EINVAL, "cannot read '" + escapeForTerminal(from) + "'");
  kj::AutoCloseFd out(openat(toDir, to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (out < 0) throwErrno(errno, "cannot create a file in the archive");
  KJ_ON_SCOPE_FAILURE(unlinkat(toDir, to.c_str(), 0));
  auto buffer = kj::heapArray<kj::byte>(256 * 1024);
  for (uint64_t offset = 0;;) {
    size_t n = readAt(in, buffer, offset);
    writeAll(out, buffer.slice(0, n));
    offset += n;
    if (n < buffer.size()) break;
  }
  struct timespec times[2] = {st.st_mtim, st.st_mtim};
  futimens(out, times);
  if (fsync(out) != 0) throwErrno(errno, "cannot write to the archive");
}

}  // namespace

kj::AutoCloseFd makeDirectoriesBeneath(const RootedDir& root, const std::string& path) {
  auto opened = root.open(path, O_RDONLY | O_DIRECTORY);
  if (opened.error == 0) return kj::mv(opened.fd);
  if (opened.error != ENOENT || path.empty()) throwErrno(opened.error, "cannot open a directory");
  auto parent = makeDirectoriesBeneath(root, std::string(parentOf(path)));
  auto name = std::string(baseNameOf(path));
  if (mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) {
    throwErrno(errno, "cannot create a directory");
  }
  int fd = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) throwErrno(errno, "cannot open a directory");
  return kj::AutoCloseFd(fd);
}

Archive::Archive(std::string directory, std::string spoke, int64_t runStarted)
    : directory_(std::move(directory)), spoke_(std::move(spoke)), run_(runName(runStarted)) {}

Archive::Place Archive::place(const std::string& path) {
  if (runDir_ == nullptr) {
    auto made = makeDirectories(directory_);
    KJ_REQUIRE(made.ok(), "cannot make the archive", std::string(made.message()).c_str());
    int fd = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) throwErrno(errno, "cannot open the archive " + directory_);
    // Where the archive is, its owner says; a symlink in it is nobody's wish.
    RootedDir whole{kj::AutoCloseFd(fd)};
    runDir_ = RootedDir(makeDirectoriesBeneath(whole, spoke_ + "/" + run_));
  }
  auto& root = KJ_ASSERT_NONNULL(runDir_);
  auto dir = makeDirectoriesBeneath(root, std::string(parentOf(path)));
  auto base = std::string(baseNameOf(path));
  auto name = base;
  struct stat st;
  // One run may archive one path twice: an old version, and then the new one's failed successor.
  for (int i = 2; fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0; ++i) {
    name = base.substr(0, 240) + "~" + std::to_string(i);
  }
  return {kj::mv(dir), name};
}

void Archive::preserve(int dirFd, const std::string& name, const std::string& path) {
  auto to = place(path);
  if (linkat(dirFd, name.c_str(), to.dir, to.name.c_str(), 0) == 0) {
    struct stat st;
    if (fstatat(to.dir, to.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
      return;
    }
    // A symlink, say, which was put in the file's place meanwhile.
    unlinkat(to.dir, to.name.c_str(), 0);
    throwErrno(EINVAL, "cannot archive '" + escapeForTerminal(path) + "'");
  }
  // Another filesystem, or one without links.
  copyFile(dirFd, name, to.dir, to.name);
}

void Archive::take(int dirFd, const std::string& name, const std::string& path) {
  auto to = place(path);
  if (renameat(dirFd, name.c_str(), to.dir, to.name.c_str()) == 0) return;
  if (errno != EXDEV) throwErrno(errno, "cannot move to the archive");
  struct stat st;
  if (fstatat(dirFd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
    return takeDirectory(dirFd, name, path);
  }
  copyFile(dirFd, name, to.dir, to.name);
  if (unlinkat(dirFd, name.c_str(), 0) != 0) throwErrno(errno, "cannot remove an archived file");
}

// To another filesystem: file by file, so that what fails is either here or there.
void Archive::takeDirectory(int dirFd, const std::string& name, const std::string& path) {
  int fd = openat(dirFd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* dir = fd < 0 ? nullptr : fdopendir(fd);
  if (dir == nullptr) throwErrno(errno, "cannot read '" + escapeForTerminal(path) + "'");
  KJ_DEFER(closedir(dir));
  std::vector<std::string> entries;
  while (auto* entry = readdir(dir)) {
    std::string_view below(entry->d_name);
    if (below != "." && below != "..") entries.emplace_back(below);
  }
  for (auto& entry : entries) take(dirfd(dir), entry, path + "/" + entry);
  if (unlinkat(dirFd, name.c_str(), AT_REMOVEDIR) != 0) {
    throwErrno(errno, "cannot remove '" + escapeForTerminal(path) + "'");
  }
}

void Archive::flush() {
  KJ_IF_MAYBE(dir, runDir_) {
    if (syncfs(dir->fd()) != 0) throwErrno(errno, "cannot write the archive to the disk");
  }
}

}  // namespace pibrain
