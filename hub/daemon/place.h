#pragma once
// Where the daemon of a config is: a lock in the database directory, so that there is one at most,
// and a socket.

#include <kj/io.h>
#include <sys/types.h>

#include <optional>
#include <string>

namespace pibrain {

// What the lock file says of a daemon that runs.
struct RunningDaemon {
  pid_t pid;
  std::string socket;
};

// Returns the daemon that runs for this database directory; nullopt: none does.
std::optional<RunningDaemon> findDaemon(const std::string& databaseDir);

// The place of this process as the daemon. The destructor removes the socket.
class DaemonPlace {
 public:
  // Locks the directory, which is created if missing, and listens on a new socket that only this
  // user can open. Throws Failure, DAEMON_RUNS if another daemon has it.
  explicit DaemonPlace(const std::string& databaseDir);
  ~DaemonPlace() noexcept(false);
  KJ_DISALLOW_COPY(DaemonPlace);

  const std::string& socketPath() const { return socketPath_; }
  int listener() const { return listener_; }

 private:
  kj::AutoCloseFd lock_, listener_;
  std::string socketPath_;
};

// Returns whether the other end of a Unix socket is this user's process.
bool isOurs(int socket);

}  // namespace pibrain
