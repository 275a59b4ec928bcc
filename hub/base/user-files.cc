#include "hub/base/user-files.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "common/fs/file-io.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/user.h"

namespace pibrain {

std::string fileState(const struct stat& st) {
  return absl::StrCat(st.st_dev, " ", st.st_ino, " ", st.st_size, " ", st.st_mtim.tv_sec, ".",
                      st.st_mtim.tv_nsec, " ", st.st_ctim.tv_sec, ".", st.st_ctim.tv_nsec);
}

absl::Status makeDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    auto part = path.substr(0, end);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      int error = errno;
      bool denied = error == EACCES || error == EPERM || error == EROFS;
      auto why = denied ? "; " + explainObstacle(nearestTo(part).path, error) : "";
      return absl::UnavailableError(absl::StrCat(
          "cannot create the directory ", escapeForTerminal(part), ": ", strerror(error), why));
    }
    if (end == std::string::npos) break;
  }
  struct stat st;
  if (stat(path.c_str(), &st) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot read ", escapeForTerminal(path), ": ", strerror(errno)));
  }
  if (!S_ISDIR(st.st_mode)) {
    return absl::UnavailableError(escapeForTerminal(path) + " is not a directory");
  }
  return absl::OkStatus();
}

absl::Status replaceFile(const std::string& path, const std::string& text, mode_t mode) {
  auto temporary = path + ".new";
  auto fail = [&]() {
    auto status = absl::UnavailableError(
        absl::StrCat("cannot write ", escapeForTerminal(path), ": ", strerror(errno)));
    unlink(temporary.c_str());
    return status;
  };
  unlink(temporary.c_str());
  kj::AutoCloseFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (fd.get() < 0) return fail();
  KJ_IF_MAYBE(e, kj::runCatchingExceptions(
                     [&]() { writeAll(fd, kj::arrayPtr(text.data(), text.size()).asBytes()); })) {
    unlink(temporary.c_str());
    return absl::UnavailableError(e->getDescription().cStr());
  }
  // fchmod(), because the umask applied to open(); fsync(), so that a power cut leaves the old file
  // or the new one.
  if (fchmod(fd, mode) != 0 || fsync(fd) != 0 || rename(temporary.c_str(), path.c_str()) != 0) {
    return fail();
  }
  return absl::OkStatus();
}

namespace {

std::string nameOfUser(uid_t id) {
  auto user = findUser(id);
  return user ? escapeForTerminal(user->name) : absl::StrCat("the user ", id);
}

}  // namespace

std::vector<std::string> listDirectory(const std::string& path, std::error_code& error) {
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  return names;
}

Reached nearestTo(const std::string& path) {
  Reached reached{path, 0};
  struct stat st;
  while (stat(reached.path.c_str(), &st) != 0) {
    // The last error is about what is directly below the path that is reached.
    reached.error = errno;
    auto slash = reached.path.rfind('/');
    if (slash == std::string::npos || reached.path == "/") break;
    reached.path.resize(slash == 0 ? 1 : slash);
  }
  return reached;
}

std::string explainObstacle(const std::string& path, int error) {
  auto shown = escapeForTerminal(path), quoted = escapeForTerminal(shellQuote(path));
  struct stat st;
  if (error == EROFS) {
    return absl::StrCat("the filesystem of ", shown, " is read-only; 'findmnt -T ", quoted,
                        "' shows what is mounted there");
  }
  if (error == ENOTDIR) {
    return absl::StrCat(shown, " is not a directory; 'ls -ld ", quoted, "' shows what it is");
  }
  bool denied = error == EACCES || error == EPERM;
  if (denied && stat(path.c_str(), &st) == 0 && st.st_uid != geteuid()) {
    auto own = nameOfUser(geteuid());
    return absl::StrCat(
        shown, " belongs to ", nameOfUser(st.st_uid), ", not to ", own, ": 'ls -ld ", quoted,
        "' shows its mode. To take it over, run 'sudo chown -R ", geteuid(), " ", quoted, "'");
  }
  return absl::StrCat(shown, ": ", strerror(error), ". Check its owner and mode with 'ls -ld ",
                      quoted, "'");
}

namespace {

// This is also what open(2) returns for a socket.
constexpr int NO_FILE = ENXIO;

bool isNoFile(const struct stat& st) {
  struct stat null;
  bool isNull = S_ISCHR(st.st_mode) && stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev;
  return !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !isNull;
}

}  // namespace

bool isNoFile(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 && isNoFile(st);
}

std::string whyUnread(int error) {
  return error == NO_FILE ? "it is a pipe, a socket or a device, not a regular file"
                          : strerror(error);
}

std::optional<std::string> readWholeFile(const std::string& path) {
  constexpr size_t LARGEST = 64 << 20;
  // O_NONBLOCK, because opening a FIFO would wait for a writer.
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  kj::AutoCloseFd owned(fd);
  struct stat st;
  if (fstat(fd, &st) != 0) return std::nullopt;
  if (isNoFile(st)) return errno = NO_FILE, std::nullopt;
  std::string text;
  char buffer[16384];
  for (;;) {
    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (text.size() + size_t(n) > LARGEST) return errno = EFBIG, std::nullopt;
    text.append(buffer, size_t(n));
  }
}

std::optional<std::string> whyNotWritable(const std::string& path) {
  auto reached = nearestTo(path);
  if (reached.error != 0 && reached.error != ENOENT) {
    return explainObstacle(reached.path, reached.error);
  }
  struct stat st;
  if (stat(reached.path.c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) {
    return explainObstacle(reached.path, ENOTDIR);
  }
  if (access(reached.path.c_str(), W_OK | X_OK) == 0) return std::nullopt;
  return explainObstacle(reached.path, errno);
}

}  // namespace pibrain
