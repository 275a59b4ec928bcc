#include "hub/daemon/detach.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "common/fs/own-program.h"
#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/daemon/place.h"

namespace pibrain {

namespace {

constexpr std::chrono::milliseconds LOOK_AGAIN(20);
constexpr std::chrono::seconds START_PATIENCE(30);

std::string wordsOf(int errors) {
  auto said = readBack(errors, 4096);
  said = std::string(absl::StripAsciiWhitespace(said));
  if (said.starts_with("pi-brain: ")) said.erase(0, strlen("pi-brain: "));
  return withoutFullStop(said);
}

// Becomes the daemon. Only calls that are safe after fork(2) in a program that had threads.
[[noreturn]] void becomeDaemon(char* const* argv, int errors) {
  setsid();
  (void)!chdir("/");
  int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  execv(argv[0], argv);
  _exit(127);
}

}  // namespace

pid_t startDetached(const DetachedDaemon& daemon, const std::string& databaseDir) {
  auto program = ownProgram();
  std::string arguments[] = {program,       "daemon", "run",     "--config",
                             daemon.config, "--log",  daemon.log};
  char* argv[std::size(arguments) + 1] = {};
  for (size_t i = 0; i < std::size(arguments); ++i) argv[i] = arguments[i].data();
  kj::AutoCloseFd errors(memfd_create("errors of the daemon", MFD_CLOEXEC));
  pid_t pid = fork();
  if (pid == 0) becomeDaemon(argv, errors);
  if (pid < 0) {
    throw Failure(FailureId::DAEMON_FAILED,
                  absl::StrCat("the daemon cannot be started: ", strerror(errno)));
  }
  auto until = std::chrono::steady_clock::now() + START_PATIENCE;
  while (std::chrono::steady_clock::now() < until) {
    auto running = findDaemon(databaseDir);
    if (running && running->pid == pid && access(running->socket.c_str(), F_OK) == 0) return pid;
    int status;
    if (waitpid(pid, &status, WNOHANG) == pid) break;
    std::this_thread::sleep_for(LOOK_AGAIN);
  }
  auto said = wordsOf(errors);
  throw Failure(FailureId::DAEMON_FAILED, "the daemon did not start",
                said.empty() ? "" : absl::StrCat("It said: ", escapeForTerminal(said), "."),
                {{"See its log", "tail " + escapeForTerminal(daemon.log)}});
}

bool waitUntilGone(const std::string& databaseDir, std::chrono::seconds atMost) {
  auto until = std::chrono::steady_clock::now() + atMost;
  while (findDaemon(databaseDir)) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(LOOK_AGAIN);
  }
  return true;
}

}  // namespace pibrain
