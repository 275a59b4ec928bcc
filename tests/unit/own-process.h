#pragma once
// For actions that a test must not apply to its own process.

#include <grp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace pibrain {

// Returns the result of `action` in a process of its own, or 128 + the signal that killed it.
inline int inAProcessOfItsOwn(const std::function<int()>& action) {
  pid_t pid = fork();
  if (pid == 0) _exit(action());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Limits this process to `most` threads. Returns false if it cannot.
inline bool limitThreads(rlim_t most) {
  // The limit does not apply to root, and counts all processes of a user. No user has this number.
  constexpr uid_t NOBODYS = 63'421;
  struct rlimit limit = {most, most};
  // For other users, the count starts at zero in a user namespace (Linux 5.14).
  if (getuid() != 0) return unshare(CLONE_NEWUSER) == 0 && setrlimit(RLIMIT_NPROC, &limit) == 0;
  return setgroups(0, nullptr) == 0 && setuid(NOBODYS) == 0 && setrlimit(RLIMIT_NPROC, &limit) == 0;
}

}  // namespace pibrain
