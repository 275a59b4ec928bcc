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

// A copy of the file, under a name that did not exist, with its time. Gone again if it fails.
void copyFile(int fromDir, const std::string& from, int toDir, const std::string& to) {
  kj::AutoCloseFd in(openat(fromDir, from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (in.get() < 0) throwErrno(errno, "cannot read '" + escapeForTerminal(from) + "'");
  struct stat st;
  if (fstat(in, &st) != 0) throwErrno(errno, "cannot read '" + escapeForTerminal(from) + "'");
  kj::AutoCloseFd out(openat(toDir, to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (out.get() < 0) throwErrno(errno, "cannot create a file in the archive");
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

kj::AutoCloseFd makeDirectoriesBeneath(const RootedDir& root, const std::string& path) {
  auto made = openOrMake(root, path);
  if (made.error != 0) throwErrno(made.error, "cannot make a directory");
  return kj::mv(made.fd);
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
  int64_t began = (int64_t(timegm(&parts)) * 1000 + milliseconds) * 1'000'000;
  // What reads back as another name is none.
  if (archiveRunName(began) != name.substr(0, name.find('~'))) return std::nullopt;
  return began;
}

Archive::Archive(std::string directory, std::string spoke, int64_t runStarted)
    : directory_(std::move(directory)),
      spoke_(std::move(spoke)),
      run_(archiveRunName(runStarted)) {}

const RootedDir& Archive::runDir(size_t number) {
  if (number < runDirs_.size()) return runDirs_[number];
  auto dir = directory_ + "/" + spoke_ + "/" + run_;
  if (number > 0) dir += "~" + std::to_string(number + 1);
  auto made = makeDirectories(dir);
  KJ_REQUIRE(made.ok(), "cannot make the archive", std::string(made.message()).c_str());
  int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throwErrno(errno, "cannot open the archive " + dir);
  return runDirs_.emplace_back(kj::AutoCloseFd(fd));
}

Archive::Place Archive::place(const std::string& path) {
  auto name = std::string(baseNameOf(path));
  // One run may archive one path twice, an old version and then the new one's failed successor; or
  // a file, and then one beneath the directory that took its place.
  for (size_t number = 0;; ++number) {
    auto dir = openOrMake(runDir(number), std::string(parentOf(path)));
    if (dir.error == ENOTDIR) continue;
    if (dir.error != 0) throwErrno(dir.error, "cannot make a directory in the archive");
    struct stat st;
    if (fstatat(dir.fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return {kj::mv(dir.fd), name};
  }
}

void Archive::preserve(int dirFd, const std::string& name, const std::string& path) {
  auto to = place(path);
  if (linkat(dirFd, name.c_str(), to.dir, to.name.c_str(), 0) == 0) return;
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
  if (runDirs_.empty()) return;
  if (syncfs(runDirs_[0].fd()) != 0) throwErrno(errno, "cannot write the archive to the disk");
}

}  // namespace pibrain
