#include "spoke-agent/stdio-stream.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pibrain {

namespace {

void requirePipe(int fd, const char* what) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
    kj::throwFatalException(kj::Exception(
        kj::Exception::Type::FAILED, __FILE__, __LINE__,
        kj::str(what,
                " is not a pipe or a socket. pi-brain-agent is started by sshd or by the "
                "hub, which talks to it over them; run 'pi-brain-agent --help' for how.")));
  }
}

// A thread's; `out` is standard output's descriptor.
void* awaitHangUp(void* out) {
  struct pollfd ends[] = {{STDIN_FILENO, POLLRDHUP, 0}, {int(intptr_t(out)), 0, 0}};
  while (poll(ends, 2, -1) <= 0) {
  }
  // Time for the event loop to find out, and to end properly.
  sleep(1);
  _exit(0);
}

}  // namespace

void endAfterHangUp() {
  int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  KJ_DEFER(pthread_attr_destroy(&attributes));
  pthread_attr_setstacksize(&attributes, 128 * 1024);  // of the memory that it may take
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  // Without it the program ends too, if later.
  if (out >= 0)
    pthread_create(&thread, &attributes, awaitHangUp, reinterpret_cast<void*>(intptr_t(out)));
}

kj::Own<kj::AsyncIoStream> takeStdio(kj::LowLevelAsyncIoProvider& io) {
  requirePipe(STDIN_FILENO, "standard input");
  requirePipe(STDOUT_FILENO, "standard output");
  int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  KJ_REQUIRE(out >= 0, "cannot duplicate standard output");
  KJ_REQUIRE(dup2(STDERR_FILENO, STDOUT_FILENO) >= 0, "cannot redirect standard output");
  return kj::heap<StdioStream>(io.wrapInputFd(STDIN_FILENO),
                               io.wrapOutputFd(out, kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP));
}

}  // namespace pibrain
