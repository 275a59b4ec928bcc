#include "hub/ssh/libssh2/libssh2-connection.h"

#include <absl/strings/str_cat.h>
#include <kj/debug.h>
#include <libssh2.h>

#include <algorithm>
#include <optional>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/libssh2/algorithms.h"
#include "hub/ssh/libssh2/dial.h"
#include "hub/ssh/libssh2/libssh2-access.h"
#include "hub/ssh/libssh2/login.h"
#include "hub/ssh/libssh2/session.h"
#include "hub/ssh/libssh2/stream.h"
#include "hub/ssh/openssh/proxy.h"

namespace pibrain {

namespace {

// The window limits the bytes in flight, and so the speed over a long link; libssh2 refills it.
constexpr unsigned WINDOW = 16 * 1024 * 1024;
constexpr unsigned MIN_WINDOW = 4 * 1024;

unsigned windowFor(const RateLimiter* limiter) {
  if (limiter == nullptr) return WINDOW;
  // The peer can send a whole window before the limit has an effect, so the window is a quarter of
  // a second.
  return unsigned(std::clamp(limiter->bytesPerSecond() / 4, double(MIN_WINDOW), double(WINDOW)));
}

std::string_view shownKey(SshSession& session) {
  size_t length = 0;
  int type = 0;
  const char* bytes = libssh2_session_hostkey(session.get(), &length, &type);
  KJ_REQUIRE(bytes != nullptr, "the spoke showed no host key");
  return {bytes, length};
}

bool isGreeting(std::string_view line) { return line.starts_with("SSH-"); }

// Up to at least 1.11.1, libssh2 reads only 255 bytes of a greeting, and takes the rest for a
// packet (session.c, banner_receive()).
bool greetingIsTooLong(std::string_view received) {
  constexpr size_t MOST = 255;
  size_t start = isGreeting(received) ? 0 : received.find("\nSSH-");
  if (start == received.npos) return false;
  return std::min(received.find('\n', start + 1), received.size()) - start > MOST;
}

class Libssh2Connection : public Connection {
 public:
  Libssh2Connection(const SshTarget& target, const SshOptions& options, kj::AsyncIoContext& io)
      : target_(target),
        options_(options),
        waitScope_(io.waitScope),
        socket_(reach()),
        session_(kj::mv(socket_), io.unixEventPort, io.provider->getTimer(), options.limiter) {}

  void connect(const KnownTarget& known, const Identities& identities, const std::string& command,
               bool allowFallback) {
    kj::Maybe<kj::Exception> broke;
    try {
      handshake(known, allowFallback);
      begin(SshStep::LOGIN);
      auto key =
          login(session_, target_, identities, *options_.passphrases, allowFallback, waitScope_);
      options_.passed(SshStep::LOGIN, absl::StrCat(target_.user, " with ", key));
      begin(SshStep::COMMAND);
      run(command, allowFallback);
    } catch (kj::Exception& e) {
      broke = kj::mv(e);
    }
    // Not in the catch block, because it waits for the proxy to end.
    KJ_IF_MAYBE(e, broke) explainBreak(e->getDescription().cStr());
    session_.clearDeadline();
    // libssh2 keeps some bytes of each keep-alive until the session ends, which for a watch is
    // never.
    if (!target_.watches) {
      session_.keepAlive(target_.serverAliveInterval, target_.serverAliveCountMax);
    }
    options_.passed(SshStep::COMMAND, "");
  }

  kj::AsyncIoStream& stream() override { return *stream_; }
  WireBytes wire() const override { return session_.wire(); }
  uint32_t startSeconds() const override { return target_.connectTimeout; }
  ExitInfo exitInfo(kj::WaitScope& waitScope) override;
  Grant grants(Access access, kj::AsyncIoContext& io) override;

 private:
  kj::AutoCloseFd reach() {
    if (target_.proxyCommand.empty() && target_.proxyJump.empty()) {
      auto socket = dial(target_, options_);
      options_.speculative = nullptr;
      return socket;
    }
    options_.speculative = nullptr;
    proxy_.emplace(target_);
    options_.passed(SshStep::NAME, "left to the proxy");
    return proxy_->takeSocket();
  }

  // Each step has its own deadline.
  void begin(SshStep step) {
    step_ = step;
    session_.setDeadlineAfter(target_.connectTimeout);
  }

  void handshake(const KnownTarget& known, bool allowFallback) {
    negotiableAlgorithms(session_.get(), target_, known, allowFallback);
    begin(SshStep::GREETING);
    int result = session_.runToCompletion([&]() { return shakeHands(); }, waitScope_);
    if (result != 0) cannotShakeHands(result, known.own, allowFallback);
    options_.passed(SshStep::KEY_EXCHANGE, "");
    begin(SshStep::HOST_KEY);
    auto key = shownKey(session_);
    // The host may also have a certificate.
    if (allowFallback && known.hasCertAuthority() &&
        hostKeyVerdict(known, key) != HostKeyVerdict::KNOWN) {
      throw FallBackToOpenssh(CERT_AUTHORITY_ONLY, {});
    }
    verifyHostKey(target_, known, key, options_.warn);
    options_.passed(SshStep::HOST_KEY, absl::StrCat(fingerprint(key), " (", keyType(key), ")"));
  }

  int shakeHands() {
    // libssh2 uses the connected socket through the session's callbacks.
    int result = libssh2_session_handshake(session_.get(), session_.fd());
    if (greetingIsTooLong(session_.beginning())) return LIBSSH2_ERROR_BANNER_RECV;
    // The banner also contains lines before the greeting.
    auto* greeting = libssh2_session_banner_get(session_.get());
    if (step_ == SshStep::GREETING && greeting != nullptr && isGreeting(greeting)) {
      greeted(greeting);
    }
    return result;
  }

  void greeted(const char* greeting) {
    if (proxy_) {
      options_.passed(SshStep::TCP, target_.proxyJump.empty() ? "through ProxyCommand"
                                                              : "through " + target_.proxyJump);
    }
    if (isOldGreeting(greeting)) {
      throw tooOldServer(target_, escapeForTerminal(greeting));
    }
    options_.passed(SshStep::GREETING, escapeForTerminal(greeting));
    begin(SshStep::KEY_EXCHANGE);
  }

  // Nothing was sent to the host yet, so OpenSSH can start over.
  [[noreturn]] void cannotShakeHands(int result, const KnownHost& known, bool allowFallback) {
    bool tooLong = greetingIsTooLong(session_.beginning());
    // OpenSSH may succeed if the server disconnected because of libssh2's proposals.
    if (!tooLong && !(allowFallback && session_.left())) session_.requireAlive();
    if (step_ == SshStep::GREETING && !tooLong) {
      throw noGreeting(target_, session_.beginning());
    }
    auto said =
        escapeForTerminal(tooLong ? "its greeting is longer than 255 bytes" : session_.lastError());
    if (allowFallback) {
      throw FallBackToOpenssh(
          absl::StrCat("libssh2 ", libssh2_version(0), " could not agree with the server: ", said),
          {});
    }
    auto failure = nothingInCommon(target_, "libssh2 said: " + said);
    failure.addFix(
        {"Otherwise, use OpenSSH's client: set 'ssh: auto' for this spoke in the config", ""});
    if (result == LIBSSH2_ERROR_KEX_FAILURE && !known.keys.empty()) {
      failure.addFix(addHostKey(target_,
                                "If the host has a new key of another type than known_hosts lists, "
                                "compare the key, and add it"));
    }
    throw failure;
  }

  void run(const std::string& command, bool allowFallback) {
    unsigned window = windowFor(options_.limiter.get());
    auto* channel = openSession(session_, window, waitScope_);
    if (channel == nullptr) {
      requireItsRefusal(LIBSSH2_ERROR_CHANNEL_FAILURE, allowFallback);
      throw noSession(target_, escapeForTerminal(session_.lastError()));
    }
    stream_ = kj::heap<SshStream>(session_, channel, window / 2);
    int result = session_.runToCompletion(
        [&]() { return libssh2_channel_exec(channel, command.c_str()); }, waitScope_);
    if (result != 0) {
      requireItsRefusal(LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED, allowFallback);
      throw commandRefused(escapeForTerminal(target_.alias),
                           escapeForTerminal(session_.lastError()));
    }
  }

  // Returns if the last error is the spoke's refusal, which has this code. Otherwise throws: the
  // connection broke, or libssh2 did not understand something.
  void requireItsRefusal(int code, bool allowFallback) {
    session_.requireAlive();
    if (libssh2_session_last_errno(session_.get()) != code) cannotGoOn(session_, allowFallback);
  }

  // Throws the failure of a connection that ended in the current step.
  [[noreturn]] void explainBreak(const std::string& what) {
    auto proxy = proxy_ ? proxy_->explain() : std::nullopt;
    if (proxy) throw *proxy;
    if (session_.timedOut()) throw tookTooLong(target_, step_);
    auto& said = session_.beginning();
    if (step_ != SshStep::GREETING) throw brokeOff(target_, step_, what);
    if (proxy_) throw brokeOff(target_, step_, what);
    throw noGreeting(target_, said);
  }

  SshTarget target_;
  SshOptions options_;
  kj::WaitScope& waitScope_;
  SshStep step_ = SshStep::NAME;
  bool agentEnded_ = false;
  std::optional<Proxy> proxy_;
  kj::AutoCloseFd socket_;  // until session_ takes it
  SshSession session_;
  kj::Own<SshStream> stream_;
};

ExitInfo Libssh2Connection::exitInfo(kj::WaitScope& waitScope) {
  constexpr uint32_t PATIENCE = 3;  // seconds
  ExitInfo result;
  auto* channel = stream_->channel();
  session_.setDeadlineAfter(PATIENCE);
  // A failure here is ignored.
  kj::runCatchingExceptions([&]() {
    session_.runToCompletion([&]() { return libssh2_channel_close(channel); }, waitScope);
    int closed =
        session_.runToCompletion([&]() { return libssh2_channel_wait_closed(channel); }, waitScope);
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

Grant Libssh2Connection::grants(Access access, kj::AsyncIoContext& io) {
  // The server may allow only one channel at a time (MaxSessions).
  if (!agentEnded_) {
    letEnd(*stream_, io.provider->getTimer(), io.waitScope);
    exitInfo(io.waitScope);
  }
  agentEnded_ = true;
  return tryByLibssh2(session_, target_, access, io.provider->getTimer(), io.waitScope);
}

}  // namespace

kj::Own<Connection> connectLibssh2(const SshTarget& target, const KnownTarget& known,
                                   const std::string& command, const SshOptions& options,
                                   const Identities& identities, bool allowFallback,
                                   kj::AsyncIoContext& io) {
  auto connection = kj::heap<Libssh2Connection>(target, options, io);
  connection->connect(known, identities, command, allowFallback);
  return connection;
}

}  // namespace pibrain
