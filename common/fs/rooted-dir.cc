#include "common/fs/rooted-dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/common.h>
#include <limits.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif
#include <unistd.h>

#include <algorithm>

#include "common/fs/io-error.h"
#include "common/wire/protocol.h"

namespace pibrain {

namespace {

RootedDir::Opened result(int fd) {
  if (fd < 0) return {nullptr, errno};
  return {kj::AutoCloseFd(fd), 0};
}

#ifdef SYS_openat2
int openBeneath(int dir, const char* path, int flags, mode_t mode) {
  struct open_how how = {};
  how.flags = uint64_t(flags);
  how.mode = (flags & O_CREAT) ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    int fd = int(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
    // EAGAIN: a rename raced with the resolution, and the kernel asks for another try.
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return fd;
  }
}
#else
int openBeneath(int, const char*, int, mode_t) {
  errno = ENOSYS;
  return -1;
}
#endif

// The same, component by component.
RootedDir::Opened walkTo(int dir, std::string_view path, int flags, mode_t mode) {
  kj::AutoCloseFd held;
  for (;;) {
    auto slash = path.find('/');
    std::string name(path.substr(0, slash));
    if (!isSafeName(name)) return {nullptr, EXDEV};
    if (slash == std::string_view::npos) return result(openat(dir, name.c_str(), flags, mode));
    auto next = result(openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (next.error != 0) return next;
    held = kj::mv(next.fd);
    dir = held;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

bool isSafeName(std::string_view name) {
  return !name.empty() && name.size() <= MAX_NAME && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool isSafePath(std::string_view path) {
  for (size_t depth = 0; depth < MAX_DEPTH; ++depth) {
    auto slash = path.find('/');
    if (!isSafeName(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

std::string_view parentOf(std::string_view path) {
  auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view baseNameOf(std::string_view path) {
  auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string joinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && !name.empty()) path += '/';
  path += name;
  return path;
}

std::vector<std::string> namesIn(int directory) {
  // Opened again, for a reading position of its own.
  int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = fd < 0 ? nullptr : fdopendir(fd);
  if (dir == nullptr) throwErrno(errno, "cannot read a directory");
  KJ_DEFER(closedir(dir));
  std::vector<std::string> names;
  errno = 0;
  while (auto* entry = readdir(dir)) {
    std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throwErrno(errno, "cannot read a directory");
  std::sort(names.begin(), names.end());
  return names;
}

RootedDir::Opened RootedDir::open(std::string_view path, int flags, mode_t mode) const {
  flags |= O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  if (path.empty()) return result(openat(dir_, ".", flags, mode));
  if (!isSafePath(path)) return {nullptr, EXDEV};
  if (path.size() < PATH_MAX) {
    int fd = openBeneath(dir_, std::string(path).c_str(), flags, mode);
    // EPERM: a seccomp filter, of a container for example, that does not know the call.
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return result(fd);
  }
  return walkTo(dir_, path, flags, mode);
}

}  // namespace pibrain
