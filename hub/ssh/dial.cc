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
#include <memory>

#include "common/text.h"
#include "hub/failure.h"
#include "hub/ssh/failures.h"

namespace pibrain {

namespace {

using Clock = std::chrono::steady_clock;

// An early connection that is not made by now may have taken a way that was not open yet (a VPN
// that the ssh configuration starts): another is tried.
constexpr std::chrono::seconds PATIENCE{1};

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

struct FreeAddresses {
  void operator()(struct addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<struct addrinfo, FreeAddresses>;

// The addresses of the host, or, without a port, of BindAddress. Throws Failure.
Addresses lookUp(const SshTarget& target, const std::string& host, const std::string& port) {
  struct addrinfo hints = {};
  hints.ai_family = target.addressFamily;
  hints.ai_socktype = SOCK_STREAM;
  struct addrinfo* addresses = nullptr;
  int failed = getaddrinfo(host.c_str(), port.empty() ? nullptr : port.c_str(), &hints, &addresses);
  if (failed == 0) return Addresses(addresses);
  if (port.empty()) {
    throw Failure(absl::StrCat(
        "BindAddress '", escapeForTerminal(host),
        "' in the ssh configuration is no address of this machine: ", gai_strerror(failed), "."));
  }
  throw Failure(unresolvedName(target, gai_strerror(failed)));
}

std::string numeric(const struct addrinfo& address) {
  char host[NI_MAXHOST] = "";
  getnameinfo(address.ai_addr, address.ai_addrlen, host, sizeof(host), nullptr, 0, NI_NUMERICHOST);
  return host;
}

// Binds to the BindAddress of the address' family, if there is one. 0, or why not.
int bindTo(int fd, const struct addrinfo* local, int family) {
  if (local == nullptr) return 0;
  for (; local != nullptr; local = local->ai_next) {
    if (local->ai_family != family) continue;
    return bind(fd, local->ai_addr, local->ai_addrlen) == 0 ? 0 : errno;
  }
  return EADDRNOTAVAIL;
}

int openSocket(const struct addrinfo& address) {
  return socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

[[noreturn]] void explain(const SshTarget& target, int error) {
  switch (error) {
    case ECONNREFUSED:
      throw Failure(connectionRefused(target));
    case ETIMEDOUT:
      throw Failure(noAnswer(target));
    case EADDRNOTAVAIL:
      if (!target.bindAddress.empty()) {
        throw Failure(
            unreachable(target, absl::StrCat("BindAddress ", escapeForTerminal(target.bindAddress),
                                             " cannot be used for it")));
      }
      [[fallthrough]];
    default:
      throw Failure(unreachable(target, strerror(error)));
  }
}

kj::AutoCloseFd connected(kj::AutoCloseFd fd, const struct addrinfo& address,
                          const SshTarget& target, const ConnectOptions& options) {
  tune(fd, options.timeoutSeconds);
  options.passed(SshStep::TCP, absl::StrCat(numeric(address), " port ", target.port));
  return fd;
}

}  // namespace

EarlyDial::EarlyDial(const Endpoint& endpoint) {
  struct addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  struct addrinfo* found = nullptr;
  auto port = absl::StrCat(endpoint.port);
  if (getaddrinfo(endpoint.address.c_str(), port.c_str(), &hints, &found) != 0) return;
  Addresses addresses(found);
  kj::AutoCloseFd fd(openSocket(*found));
  if (fd.get() < 0) return;
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) return;
  memcpy(&address_, found->ai_addr, found->ai_addrlen);
  length_ = found->ai_addrlen;
  socket_ = kj::mv(fd);
}

kj::AutoCloseFd EarlyDial::take(const struct addrinfo& address) {
  auto fd = kj::mv(socket_);
  bool same = address.ai_addrlen == length_ && memcmp(address.ai_addr, &address_, length_) == 0;
  if (fd.get() < 0 || !same) return nullptr;
  if (finishConnecting(fd, Clock::now() + PATIENCE) != 0) return nullptr;
  char first;
  ssize_t n = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  bool ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  return ended ? nullptr : kj::mv(fd);
}

kj::AutoCloseFd dial(const SshTarget& target, const ConnectOptions& options) {
  auto addresses = lookUp(target, target.host, absl::StrCat(target.port));
  Addresses local;
  if (!target.bindAddress.empty()) local = lookUp(target, target.bindAddress, "");
  options.passed(SshStep::NAME, numeric(*addresses));

  // Only the first address: what is begun must not change the order in which they are tried.
  if (options.early != nullptr && local == nullptr) {
    auto fd = options.early->take(*addresses);
    if (fd.get() >= 0) {
      options.dialed({numeric(*addresses), target.port});
      return connected(kj::mv(fd), *addresses, target, options);
    }
  }

  // Each address gets its share of the time, so that one that does not answer leaves some to the
  // others.
  int left = 0;
  for (auto* address = addresses.get(); address != nullptr; address = address->ai_next) ++left;
  auto end = Clock::now() + std::chrono::seconds(target.connectTimeout);
  int error = EHOSTUNREACH;
  for (auto* address = addresses.get(); address != nullptr; address = address->ai_next, --left) {
    auto deadline = Clock::now() + (end - Clock::now()) / left;
    kj::AutoCloseFd fd(openSocket(*address));
    if (fd.get() < 0) {
      error = errno;
      continue;
    }
    error = bindTo(fd, local.get(), address->ai_family);
    if (error == 0) error = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = finishConnecting(fd, deadline);
    if (error != 0) continue;
    if (address == addresses.get() && local == nullptr) {
      options.dialed({numeric(*address), target.port});
    }
    return connected(kj::mv(fd), *address, target, options);
  }
  explain(target, error);
}

}  // namespace pibrain
