#include "hub/daemon/place.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vector>

#include "common/fs/file-io.h"
#include "common/text/environment.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-status.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

constexpr size_t MAX_LOCK_FILE = 4096;

std::string lockPath(const std::string& databaseDir) { return databaseDir + "/daemon.lock"; }

// Returns whether the path is a directory that only this user can write to.
bool isOwnDirectory(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
         (st.st_mode & 022) == 0;
}

Failure cannotStart(const std::string& what, int error) {
  return Failure(FailureId::DAEMON_FAILED, absl::StrCat(what, ": ", strerror(error)));
}

std::optional<RunningDaemon> readLock(int fd) {
  char text[MAX_LOCK_FILE];
  auto length = pread(fd, text, sizeof(text), 0);
  if (length <= 0) return std::nullopt;
  std::vector<std::string> lines = absl::StrSplit(absl::string_view(text, size_t(length)), '\n');
  RunningDaemon running;
  if (lines.size() < 2 || !absl::SimpleAtoi(lines[0], &running.pid)) return std::nullopt;
  running.socket = lines[1];
  return running;
}

kj::AutoCloseFd openLock(const std::string& databaseDir, int flags) {
  return kj::AutoCloseFd(open(lockPath(databaseDir).c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0600));
}

// Locks that belong to the open file (fcntl(2)), since others can ask for them without taking them.
bool takeLock(int fd) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}
bool isLocked(int fd) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// Returns a socket that listens on this path; none, with errno, if that cannot be.
kj::AutoCloseFd listenOn(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return kj::AutoCloseFd();
  }
  memcpy(address.sun_path, path.data(), path.size());
  kj::AutoCloseFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // Left by a daemon that was killed: this process has the lock.
  unlink(path.c_str());
  // The umask of this program makes it 0600.
  if (fd.get() < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(path.c_str(), 0600) != 0 || listen(fd, SOMAXCONN) != 0) {
    return kj::AutoCloseFd();
  }
  return fd;
}

// Returns the user's runtime directory for pi-brain, which has a short path and is on a filesystem
// of this machine, but which goes when the user logs out; empty: there is none.
std::string runtimeDirectory() {
  auto runtime = environment("XDG_RUNTIME_DIR");
  if (!runtime.starts_with('/') || !isOwnDirectory(runtime)) return "";
  auto directory = runtime + "/pi-brain";
  return makeDirectories(directory).ok() && isOwnDirectory(directory) ? directory : "";
}

}  // namespace

std::optional<RunningDaemon> findDaemon(const std::string& databaseDir) {
  auto fd = openLock(databaseDir, O_RDONLY);
  struct stat st;
  if (fd.get() < 0 || fstat(fd, &st) != 0 || st.st_uid != geteuid() || !isLocked(fd)) {
    return std::nullopt;
  }
  return readLock(fd);
}

DaemonPlace::DaemonPlace(const std::string& databaseDir) {
  if (auto made = makeDirectories(databaseDir); !made.ok()) {
    throw failureOf(made, FailureId::DAEMON_FAILED);
  }
  lock_ = openLock(databaseDir, O_RDWR | O_CREAT);
  auto file = escapeForTerminal(lockPath(databaseDir));
  if (lock_.get() < 0) throw cannotStart("the daemon cannot open " + file, errno);
  if (!takeLock(lock_)) {
    if (errno != EAGAIN && errno != EACCES)
      throw cannotStart("the daemon cannot lock " + file, errno);
    auto other = readLock(lock_);
    throw Failure(FailureId::DAEMON_RUNS,
                  absl::StrCat("the daemon is already running",
                               other ? absl::StrCat(", as process ", other->pid) : ""),
                  "", {{"See what it does", ownCommand("daemon status")}});
  }
  socketPath_ = databaseDir + "/daemon.sock";
  listener_ = listenOn(socketPath_);
  auto runtime = listener_.get() < 0 ? runtimeDirectory() : "";
  if (!runtime.empty()) {
    socketPath_ = absl::StrCat(runtime, "/daemon-", getpid(), ".sock");
    listener_ = listenOn(socketPath_);
  }
  if (listener_.get() < 0) {
    throw cannotStart("the daemon cannot listen on " + escapeForTerminal(socketPath_), errno)
        .addFix({"Choose a 'database_dir' in the config with a short path on a local disk, or set "
                 "XDG_RUNTIME_DIR to such a directory",
                 ""});
  }
  auto text = absl::StrCat(getpid(), "\n", socketPath_, "\n");
  if (ftruncate(lock_, 0) != 0) throw cannotStart("the daemon cannot write " + file, errno);
  writeAllAt(lock_, kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size()), 0);
}

DaemonPlace::~DaemonPlace() noexcept(false) { unlink(socketPath_.c_str()); }

bool isOurs(int socket) {
  struct ucred peer = {};
  socklen_t length = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         (peer.uid == geteuid() || peer.uid == 0);
}

}  // namespace pibrain
