#include "hub/ssh/dial.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <chrono>

#include "common/text.h"
#include "hub/failure.h"

namespace pibrain {

namespace {

using Clock = std::chrono::steady_clock;

// 0, or why not.
int finishConnecting(int fd, Clock::time_point deadline) {
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return ETIMEDOUT;
    struct pollfd ready = {fd, POLLOUT, 0};
    int n = poll(&ready, 1, int(left.count()));
    if (n < 0 && errno != EINTR) return errno;
    if (n <= 0) continue;
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
  }
}

void tune(int fd, uint32_t timeoutSeconds) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  unsigned milliseconds = timeoutSeconds * 1000;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds));
}

[[noreturn]] void explain(const SshTarget& target, int error) {
  auto where = absl::StrCat(escapeForTerminal(target.host), " port ", target.port);
  auto who = escapeForTerminal(target.alias);
  switch (error) {
    case ECONNREFUSED:
      throw Failure(absl::StrCat(
          "connection refused by ", where,
          ". The machine is up, but no SSH server listens there. "
          "On the spoke, start it with 'sudo systemctl start ssh' (or sshd), and check the port "
          "with 'ssh -G ",
          who, " | grep ^port'."));
    case ETIMEDOUT:
      throw Failure(absl::StrCat("no answer from ", where, " within ", target.connectTimeout,
                                 " s. The machine is off, "
                                 "asleep or behind a firewall. Try 'ping ",
                                 escapeForTerminal(target.host),
                                 "' and, on the spoke, 'sudo ufw status'."));
    default:
      throw Failure(absl::StrCat("cannot reach ", where, ": ", strerror(error),
                                 ". Check the network and the host name "
                                 "with 'ssh -v ",
                                 who, " true'."));
  }
}

}  // namespace

kj::AutoCloseFd dial(const SshTarget& target, uint32_t timeoutSeconds) {
  struct addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  struct addrinfo* addresses = nullptr;
  int failed =
      getaddrinfo(target.host.c_str(), absl::StrCat(target.port).c_str(), &hints, &addresses);
  if (failed != 0) {
    throw Failure(absl::StrCat("the host name ", escapeForTerminal(target.host),
                               " cannot be resolved: ", gai_strerror(failed),
                               ". Check the spelling in 'source', or add the host to ~/.ssh/config "
                               "with a HostName that works; 'getent hosts ",
                               escapeForTerminal(target.host), "' shows what the system knows."));
  }
  KJ_DEFER(freeaddrinfo(addresses));

  // Each address gets its share of the time, so that one that does not answer leaves some to the
  // others.
  int left = 0;
  for (auto* address = addresses; address != nullptr; address = address->ai_next) ++left;
  auto end = Clock::now() + std::chrono::seconds(target.connectTimeout);
  int error = EHOSTUNREACH;
  for (auto* address = addresses; address != nullptr; address = address->ai_next, --left) {
    auto deadline = Clock::now() + (end - Clock::now()) / left;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      error = errno;
      continue;
    }
    kj::AutoCloseFd owned(fd);
    tune(fd, timeoutSeconds);
    error = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = finishConnecting(fd, deadline);
    if (error == 0) return owned;
  }
  explain(target, error);
}

}  // namespace pibrain
