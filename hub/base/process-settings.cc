#include "hub/base/process-settings.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <string_view>

#include "hub/base/signals.h"

namespace pibrain {

namespace {

// ssh runs ProxyCommand and the like by $SHELL. Of accounts that nobody logs in to (systemd's, for
// services) it is one that runs nothing.
void settleShell() {
  const char* shell = getenv("SHELL");
  if (shell == nullptr) return;
  std::string_view name(shell);
  bool none = name.ends_with("/nologin") || name.ends_with("/false") || access(shell, X_OK) != 0;
  if (none) setenv("SHELL", "/bin/sh", 1);
}

}  // namespace

void settleProcess() {
  // What was closed would become a file of ours, and what is meant for the terminal go into it.
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest that is free is taken, which is this one.
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(1);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGCHLD, SIG_DFL);
  for (int each : IGNORED_SIGNALS) signal(each, SIG_IGN);
  settleShell();
}

}  // namespace pibrain
