#include "hub/ssh/libssh2/dial.h"

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
#include <future>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/ssh/connect-failures.h"

namespace pibrain {

namespace {

using Clock = std::chrono::steady_clock;

// If a speculative connection is not established by then, another is tried: the route may not have
// existed yet (a VPN that the ssh configuration starts).
constexpr std::chrono::seconds PATIENCE{1};

// Returns 0, or an errno.
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

void setSocketOptions(int fd, uint32_t timeoutSeconds, bool watches) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // The kernel asks a silent peer after 15 s, and gives it up as TCP_USER_TIMEOUT says (tcp(7)).
  constexpr int IDLE_SECONDS = 15, INTERVAL_SECONDS = 5, COUNT = 3;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &IDLE_SECONDS, sizeof(int));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &INTERVAL_SECONDS, sizeof(int));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &COUNT, sizeof(int));
  constexpr unsigned WATCH_SECONDS = 20;
  unsigned milliseconds =
      (watches ? std::min(timeoutSeconds, WATCH_SECONDS) : timeoutSeconds) * 1000;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds));
}

// How often to ask whether to give up.
constexpr std::chrono::milliseconds ASK_AGAIN(200);

void requireWanted(const SshTarget& target, const SshOptions& options) {
  if (options.giveUp()) throw unreachable(target, "the attempt was given up");
}

struct FreeAddresses {
  void operator()(struct addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<struct addrinfo, FreeAddresses>;

struct Answer {
  int failed = 0;  // getaddrinfo(3)
  Addresses addresses;
};

Answer ask(const std::string& host, const std::string& port, const struct addrinfo& hints) {
  struct addrinfo* addresses = nullptr;
  int failed = getaddrinfo(host.c_str(), port.empty() ? nullptr : port.c_str(), &hints, &addresses);
  return {failed, Addresses(failed == 0 ? addresses : nullptr)};
}

// Returns nullopt without an answer in time. getaddrinfo(3) has no time limit, so it may go on in
// its thread, whose result is ignored.
std::optional<Answer> askNameServer(const SshTarget& target, const std::string& host,
                                    const std::string& port, struct addrinfo hints,
                                    const SshOptions& options) {
  auto numeric = hints;
  numeric.ai_flags |= AI_NUMERICHOST;
  if (auto answer = ask(host, port, numeric); answer.failed == 0) return answer;
  auto task =
      std::make_shared<std::packaged_task<Answer()>>([=]() { return ask(host, port, hints); });
  auto answer = task->get_future();
  try {
    std::thread([task]() { (*task)(); }).detach();
  } catch (const std::system_error&) {
    // The limit of threads is reached: ask without a time limit.
    (*task)();
  }
  auto deadline = Clock::now() + std::chrono::seconds(target.connectTimeout);
  while (answer.wait_until(std::min(deadline, Clock::now() + ASK_AGAIN)) !=
         std::future_status::ready) {
    if (Clock::now() >= deadline) return std::nullopt;
    requireWanted(target, options);
  }
  return answer.get();
}

// Returns the addresses of the host or, without a port, of BindAddress. Throws Failure.
Addresses lookUp(const SshTarget& target, const std::string& host, const std::string& port,
                 const SshOptions& options) {
  struct addrinfo hints = {};
  hints.ai_family = target.addressFamily;
  hints.ai_socktype = SOCK_STREAM;
  auto answer = askNameServer(target, host, port, hints, options);
  if (!answer) throw tookTooLong(target, SshStep::NAME);
  int failed = answer->failed;
  if (failed == 0) return std::move(answer->addresses);
  if (port.empty()) {
    throw Failure(
        FailureId::UNREACHABLE,
        absl::StrCat(
            "BindAddress '", escapeForTerminal(host),
            "' in the ssh configuration is not an address of this machine: ", gai_strerror(failed)),
        "",
        {{"Correct or remove BindAddress; this shows this machine's addresses", "ip -br address"}});
  }
  throw unresolvedName(target, absl::StrCat("the system said: ", gai_strerror(failed)));
}

std::string numeric(const struct addrinfo& address) {
  char host[NI_MAXHOST] = "";
  getnameinfo(address.ai_addr, address.ai_addrlen, host, sizeof(host), nullptr, 0, NI_NUMERICHOST);
  return host;
}

// Binds to the BindAddress of this family, if there is one. Returns 0, or an errno.
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
      throw connectionRefused(target);
    case ETIMEDOUT:
      throw noAnswer(target);
    case ECONNRESET:
      throw noGreeting(target, "");
    case EADDRNOTAVAIL:
      if (!target.bindAddress.empty()) {
        throw unusableBindAddress(target);
      }
      [[fallthrough]];
    default:
      throw unreachable(target, absl::StrCat("the system said: ", strerror(error)));
  }
}

// Connects to the first of several addresses that answers. Each is tried when the previous one has
// failed or is silent for a moment (RFC 8305, section 5), so that a dead one does not delay the
// others.
class Race {
 public:
  Race(const SshTarget& target, const struct addrinfo* local, const SshOptions& options)
      : target_(target), local_(local), options_(options) {}

  struct Won {
    kj::AutoCloseFd fd;
    const struct addrinfo* address;
  };

  // Throws Failure about the first error.
  Won run(const struct addrinfo* next) {
    constexpr std::chrono::milliseconds HEAD_START{250};
    auto deadline = Clock::now() + std::chrono::seconds(target_.connectTimeout);
    for (;;) {
      if (next != nullptr) {
        begin(*next);
        next = next->ai_next;
      }
      auto until = next == nullptr ? deadline : std::min(deadline, Clock::now() + HEAD_START);
      // Starts the next address at once if none is left to wait for.
      while (!runners_.empty()) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
        if (left <= 0) break;
        if (auto won = waitForOne(int(std::min<int64_t>(left, ASK_AGAIN.count())))) {
          return kj::mv(*won);
        }
        requireWanted(target_, options_);
      }
      if (next != nullptr) continue;
      if (runners_.empty()) explain(target_, error_ == 0 ? EHOSTUNREACH : error_);
      if (Clock::now() >= deadline) explain(target_, ETIMEDOUT);
    }
  }

 private:
  struct Runner {
    kj::AutoCloseFd fd;
    const struct addrinfo* address;
  };

  void begin(const struct addrinfo& address) {
    kj::AutoCloseFd fd(openSocket(address));
    int error = fd.get() < 0 ? errno : bindTo(fd, local_, address.ai_family);
    if (error == 0 && connect(fd, address.ai_addr, address.ai_addrlen) != 0) error = errno;
    if (error == 0 || error == EINPROGRESS) {
      runners_.push_back({kj::mv(fd), &address});
    } else {
      lost(error);
    }
  }

  // Waits until one has connected or failed.
  std::optional<Won> waitForOne(int milliseconds) {
    std::vector<struct pollfd> all;
    for (auto& runner : runners_) all.push_back({runner.fd.get(), POLLOUT, 0});
    if (poll(all.data(), nfds_t(all.size()), milliseconds) <= 0) return std::nullopt;
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].revents == 0) continue;
      auto runner = kj::mv(runners_[i]);
      runners_.erase(runners_.begin() + ptrdiff_t(i));
      int error = 0;
      socklen_t length = sizeof(error);
      getsockopt(runner.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error == 0) return Won{kj::mv(runner.fd), runner.address};
      lost(error);
      return std::nullopt;
    }
    return std::nullopt;
  }

  void lost(int error) {
    if (error_ == 0) error_ = error;
  }

  const SshTarget& target_;
  const struct addrinfo* local_;
  const SshOptions& options_;
  std::vector<Runner> runners_;
  int error_ = 0;  // of the first failure
};

kj::AutoCloseFd connected(kj::AutoCloseFd fd, const struct addrinfo& address,
                          const SshTarget& target, const SshOptions& options) {
  setSocketOptions(fd, options.timeoutSeconds, target.watches);
  options.passed(SshStep::TCP, absl::StrCat(numeric(address), " port ", target.port));
  return fd;
}

}  // namespace

SpeculativeConnect::SpeculativeConnect(const Endpoint& endpoint) {
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

const struct addrinfo* SpeculativeConnect::among(const struct addrinfo* addresses) const {
  for (auto* each = addresses; each != nullptr; each = each->ai_next) {
    if (each->ai_addrlen == length_ && memcmp(each->ai_addr, &address_, length_) == 0) return each;
  }
  return nullptr;
}

kj::AutoCloseFd SpeculativeConnect::take() {
  auto fd = kj::mv(socket_);
  if (fd.get() < 0) return nullptr;
  if (finishConnecting(fd, Clock::now() + PATIENCE) != 0) return nullptr;
  char first;
  ssize_t n = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  bool ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  return ended ? nullptr : kj::mv(fd);
}

kj::AutoCloseFd dial(const SshTarget& target, const SshOptions& options) {
  auto addresses = lookUp(target, target.host, absl::StrCat(target.port), options);
  Addresses local;
  if (!target.bindAddress.empty()) local = lookUp(target, target.bindAddress, "", options);
  options.passed(SshStep::NAME, numeric(*addresses));

  if (options.speculative != nullptr && local == nullptr) {
    if (auto* address = options.speculative->among(addresses.get())) {
      auto fd = options.speculative->take();
      if (fd.get() >= 0) {
        options.dialed({numeric(*address), target.port});
        return connected(kj::mv(fd), *address, target, options);
      }
    }
  }

  Race race(target, local.get(), options);
  auto won = race.run(addresses.get());
  if (local == nullptr) options.dialed({numeric(*won.address), target.port});
  return connected(kj::mv(won.fd), *won.address, target, options);
}

}  // namespace pibrain
