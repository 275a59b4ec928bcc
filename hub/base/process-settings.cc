#include "hub/base/process-settings.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <string_view>

#include "hub/base/signals.h"

namespace pibrain {

namespace {

// ssh runs ProxyCommand and the like with $SHELL. For system accounts that is often nologin or
// false, which run nothing.
void settleShell() {
  const char* shell = getenv("SHELL");
  if (shell == nullptr) return;
  std::string_view name(shell);
  bool none = name.ends_with("/nologin") || name.ends_with("/false") || access(shell, X_OK) != 0;
  if (none) setenv("SHELL", "/bin/sh", 1);
}

}  // namespace

void settleProcess() {
  // Otherwise the next file to be opened would get the closed descriptor, and text for the terminal
  // would end up in that file.
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // open() returns the lowest free descriptor, which is this one.
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
