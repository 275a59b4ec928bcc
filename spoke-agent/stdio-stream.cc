#include "spoke-agent/stdio-stream.h"

#include <fcntl.h>
#include <kj/debug.h>
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

}  // namespace

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
