#include "hub/ssh/libssh2-connection.h"

#include <absl/strings/str_cat.h>
#include <kj/debug.h>
#include <libssh2.h>

#include <algorithm>
#include <optional>

#include "common/text.h"
#include "hub/failure.h"
#include "hub/ssh/dial.h"
#include "hub/ssh/login.h"
#include "hub/ssh/methods.h"
#include "hub/ssh/openssh.h"
#include "hub/ssh/session.h"
#include "hub/ssh/stream.h"

namespace pibrain {

namespace {

// The window bounds what is in flight, so the speed over a long link; libssh2 refills it.
constexpr unsigned WINDOW = 16 * 1024 * 1024;
constexpr unsigned MIN_WINDOW = 4 * 1024;
constexpr unsigned PACKET = 32768;

unsigned windowFor(const RateLimiter* limiter) {
  if (limiter == nullptr) return WINDOW;
  // The peer may send a window's worth before it feels the limit: a quarter of a second.
  return unsigned(std::clamp(limiter->bytesPerSecond() / 4, double(MIN_WINDOW), double(WINDOW)));
}

std::string_view shownKey(SshSession& session) {
  size_t length = 0;
  int type = 0;
  const char* bytes = libssh2_session_hostkey(session.get(), &length, &type);
  KJ_REQUIRE(bytes != nullptr, "the spoke showed no host key");
  return {bytes, length};
}

class Libssh2Connection : public Connection {
 public:
  Libssh2Connection(const SshTarget& target, const ConnectOptions& options, kj::AsyncIoContext& io)
      : target_(target),
        options_(options),
        waitScope_(io.waitScope),
        begun_(kj::systemPreciseMonotonicClock().now()),
        socket_(reach()),
        session_(kj::mv(socket_), io.unixEventPort, io.provider->getTimer(), options.limiter) {
    session_.setDeadline(begun_ + target.connectTimeout * kj::SECONDS);
  }

  void connect(const KnownTarget& known, const Identities& identities, const std::string& command,
               bool mayDefer) {
    try {
      handshake(known, mayDefer);
      auto key = login(session_, target_, identities, mayDefer, waitScope_);
      options_.passed(SshStep::LOGIN, absl::StrCat(target_.user, " with ", key));
      run(command);
    } catch (const kj::Exception& e) {
      throw Failure(explainBreak(e.getDescription().cStr()));
    }
    session_.clearDeadline();
    session_.keepAlive(target_.serverAliveInterval, target_.serverAliveCountMax);
    options_.passed(SshStep::COMMAND, "");
  }

  kj::AsyncIoStream& stream() override { return *stream_; }
  WireBytes wire() const override { return session_.wire(); }
  Farewell farewell(kj::WaitScope& waitScope) override;
  std::optional<bool> grantsTerminal(kj::WaitScope& waitScope) override;

 private:
  kj::AutoCloseFd reach() {
    if (target_.proxyCommand.empty() && target_.proxyJump.empty()) {
      auto socket = dial(target_, options_);
      options_.early = nullptr;
      return socket;
    }
    options_.early = nullptr;
    proxy_.emplace(target_);
    options_.passed(SshStep::NAME, "left to the proxy");
    return proxy_->takeSocket();
  }

  void handshake(const KnownTarget& known, bool mayDefer) {
    for (auto& warning : known.own.warnings) options_.warn(escapeForTerminal(warning));
    for (auto& file : known.own.unread) options_.warn(escapeForTerminal(file));
    chooseMethods(session_.get(), target_, known.own, mayDefer);
    // The socket is connected already; libssh2 reads and writes it through our callbacks.
    int result = session_.complete(
        [&]() { return libssh2_session_handshake(session_.get(), session_.fd()); }, waitScope_);
    if (result != 0) throw Failure(explainHandshake(result, known.own));
    if (proxy_) {
      options_.passed(SshStep::TCP, target_.proxyJump.empty() ? "through ProxyCommand"
                                                              : "through " + target_.proxyJump);
    }
    auto key = shownKey(session_);
    // The host may have a certificate too.
    if (mayDefer && known.hasCertAuthority() && judge(known, key) != HostKeyVerdict::KNOWN) {
      throw NeedsOpenssh{VOUCHED, {}};
    }
    requireTrusted(target_, known, key, options_.warn);
    options_.passed(SshStep::HOST_KEY, absl::StrCat(fingerprint(key), " (", keyType(key), ")"));
  }

  void run(const std::string& command) {
    unsigned window = windowFor(options_.limiter.get());
    auto* channel = openChannel(window);
    if (channel == nullptr) {
      session_.requireAlive();
      throw Failure(absl::StrCat("the spoke opened no session: ", session_.lastError(),
                                 ". Its sshd_config may limit sessions (MaxSessions)."));
    }
    stream_ = kj::heap<SshStream>(session_, channel, window / 2);
    int result = session_.complete([&]() { return libssh2_channel_exec(channel, command.c_str()); },
                                   waitScope_);
    if (result != 0) {
      session_.requireAlive();
      throw Failure(absl::StrCat("the spoke refused to run a command for ",
                                 escapeForTerminal(target_.alias), ": ", session_.lastError(),
                                 ". Check the command=\"…\" in its authorized_keys."));
    }
  }

  LIBSSH2_CHANNEL* openChannel(unsigned window) {
    LIBSSH2_CHANNEL* channel = nullptr;
    session_.complete(
        [&]() {
          channel =
              libssh2_channel_open_ex(session_.get(), "session", 7, window, PACKET, nullptr, 0);
          return channel == nullptr ? libssh2_session_last_errno(session_.get()) : 0;
        },
        waitScope_);
    return channel;
  }

  std::string explainHandshake(int result, const KnownHost& known) {
    auto proxy = proxy_ ? proxy_->explain() : "";
    if (!proxy.empty()) return proxy;
    bool noCommonMethod =
        result == LIBSSH2_ERROR_KEX_FAILURE || result == LIBSSH2_ERROR_METHOD_NONE;
    return absl::StrCat(
        "the SSH handshake with ", escapeForTerminal(target_.host), " port ", target_.port,
        " failed: ", escapeForTerminal(session_.lastError()), ". ",
        noCommonMethod && !known.keys.empty()
            ? "The spoke may have no host key of a type that known_hosts lists: if its new key is "
              "right, " +
                  addingCommand(target_) + "."
            : "Is an SSH server listening on that port? Try '" + sshInvocation(target_) +
                  " -v true'.");
  }

  std::string explainBreak(const std::string& what) {
    auto proxy = proxy_ ? proxy_->explain() : "";
    if (!proxy.empty()) return proxy;
    return absl::StrCat("the SSH connection to ", escapeForTerminal(target_.host), " port ",
                        target_.port, " failed before it was of use: ", escapeForTerminal(what),
                        ". Try '", sshInvocation(target_), " -v true'.");
  }

  SshTarget target_;
  ConnectOptions options_;
  kj::WaitScope& waitScope_;
  const kj::TimePoint begun_;
  std::optional<Proxy> proxy_;
  kj::AutoCloseFd socket_;  // until session_ has it
  SshSession session_;
  kj::Own<SshStream> stream_;
};

Farewell Libssh2Connection::farewell(kj::WaitScope& waitScope) {
  constexpr uint32_t PATIENCE = 3;  // seconds
  Farewell result;
  auto* channel = stream_->channel();
  session_.setDeadlineAfter(PATIENCE);
  // What cannot be had in that time is not worth an error of its own.
  kj::runCatchingExceptions([&]() {
    session_.complete([&]() { return libssh2_channel_close(channel); }, waitScope);
    int closed =
        session_.complete([&]() { return libssh2_channel_wait_closed(channel); }, waitScope);
    stream_->drainErrors();
    if (closed != 0 && session_.ended()) return;
    char* signal = nullptr;
    libssh2_channel_get_exit_signal(channel, &signal, nullptr, nullptr, nullptr, nullptr, nullptr);
    if (signal == nullptr) result.exitStatus = libssh2_channel_get_exit_status(channel);
    if (signal != nullptr) libssh2_free(session_.get(), signal);
  });
  result.errors = stream_->errors();
  if (!result.exitStatus && session_.ended()) {
    result.cutOff = escapeForTerminal(session_.lastError());
  }
  result.flooded = session_.flooded();
  return result;
}

std::optional<bool> Libssh2Connection::grantsTerminal(kj::WaitScope& waitScope) {
  session_.setDeadlineAfter(target_.connectTimeout);
  KJ_DEFER(session_.clearDeadline());
  auto* channel = openChannel(MIN_WINDOW);
  if (channel == nullptr) return std::nullopt;  // MaxSessions 1
  int result =
      session_.complete([&]() { return libssh2_channel_request_pty(channel, "dumb"); }, waitScope);
  session_.complete([&]() { return libssh2_channel_free(channel); }, waitScope);
  if (result != 0 && result != LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) return std::nullopt;
  return result == 0;
}

}  // namespace

kj::Own<Connection> connectLibssh2(const SshTarget& target, const KnownTarget& known,
                                   const std::string& command, const ConnectOptions& options,
                                   const Identities& identities, bool mayDefer,
                                   kj::AsyncIoContext& io) {
  auto connection = kj::heap<Libssh2Connection>(target, options, io);
  connection->connect(known, identities, command, mayDefer);
  return connection;
}

}  // namespace pibrain
