#include "hub/ssh/libssh2/session.h"

#include <errno.h>
#include <kj/debug.h>
#include <libssh2.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

#include "hub/ssh/agent-io.h"
#include "hub/ssh/callbacks.h"

namespace pibrain {

namespace {

// Sent bytes are removed from the buffer when they exceed this.
constexpr size_t MAX_SENT_KEPT = 256 * 1024;

// One call of libssh2 continues as long as bytes come. After this many, it returns to the event
// loop, whose timers notice deadlines and silence.
constexpr size_t MAX_A_TURN = 1024 * 1024;

// How much memory a session may use: four windows of its channel. Only a peer that sends what
// nobody reads causes more: packets of unknown types, or requests whose answers it does not
// receive.
constexpr size_t MAX_KEPT = 64 * 1024 * 1024;

static_assert(SSH_AGAIN == LIBSSH2_ERROR_EAGAIN);

LIBSSH2_RECV_FUNC(onReceive) {
  auto& session = *static_cast<SshSession*>(*abstract);
  if (!session.owns(socket)) return receiveFromAgent(socket, buffer, length, flags);
  return session.receive(buffer, length);
}

LIBSSH2_SEND_FUNC(onSend) {
  auto& session = *static_cast<SshSession*>(*abstract);
  if (!session.owns(socket)) return sendToAgent(socket, buffer, length, flags);
  return session.send(buffer, length);
}

void onDebug(LIBSSH2_SESSION*, int, const char* message, int length, const char*, int,
             void** abstract) {
  if (message == nullptr || length <= 0) return;
  static_cast<SshSession*>(*abstract)->heardDebug({message, size_t(length)});
}

LIBSSH2_ALLOC_FUNC(onAllocate) { return static_cast<SshSession*>(*abstract)->allocate(count); }
LIBSSH2_REALLOC_FUNC(onReallocate) {
  return static_cast<SshSession*>(*abstract)->reallocate(ptr, count);
}
LIBSSH2_FREE_FUNC(onFree) { static_cast<SshSession*>(*abstract)->release(ptr); }

LIBSSH2_DISCONNECT_FUNC(onDisconnect) {
  (void)session, (void)reason, (void)language, (void)language_len;
  size_t length = message == nullptr || message_len < 0 ? 0 : size_t(message_len);
  static_cast<SshSession*>(*abstract)->leave(length == 0 ? "" : std::string(message, length));
}

}  // namespace

SshSession::SshSession(kj::AutoCloseFd socket, kj::UnixEventPort& port, kj::Timer& timer,
                       std::shared_ptr<RateLimiter> limiter)
    : socket_(kj::mv(socket)),
      timer_(timer),
      limiter_(std::move(limiter)),
      observer_(port, socket_, kj::UnixEventPort::FdObserver::OBSERVE_READ_WRITE),
      session_(libssh2_session_init_ex(onAllocate, onFree, onReallocate, this)),
      readPump_(nullptr),
      writePump_(nullptr),
      wakePump_(nullptr),
      keepAlivePump_(nullptr) {
  KJ_REQUIRE(session_ != nullptr, "out of memory");
  libssh2_session_set_blocking(session_, 0);
  setCallbacks(session_, onReceive, onSend, onDisconnect);
  setDebugCallback(session_, onDebug);
  readPump_ = readPump().eagerlyEvaluate(nullptr);
}

SshSession::~SshSession() noexcept(false) {
  // With a dead socket, libssh2 frees everything without returning "again".
  fail("the hub ended it");
  libssh2_session_free(session_);
}

void* SshSession::allocate(size_t size) { return reallocate(nullptr, size); }

void* SshSession::reallocate(void* block, size_t size) {
  size_t before = malloc_usable_size(block);
  void* result = realloc(block, size);
  if (result != nullptr) allocated_ += malloc_usable_size(result) - before;
  return result;
}

void SshSession::release(void* block) {
  allocated_ -= malloc_usable_size(block);
  free(block);
}

void SshSession::setDeadlineAfter(uint32_t seconds) {
  deadline_ = kj::systemPreciseMonotonicClock().now() + seconds * kj::SECONDS;
}

void SshSession::extendDeadline(kj::Duration by) {
  KJ_IF_MAYBE(deadline, deadline_) {
    *deadline += by;
  }
}

void SshSession::keepAlive(uint32_t interval, uint32_t countMax) {
  if (interval == 0) return;
  // libssh2 sends keep-alives at most this often, and not more often than every 2 s. It keeps each
  // answer, some 100 bytes, until the session ends.
  libssh2_keepalive_config(session_, 1, std::max(interval, 2u) - 1);
  keepAlivePump_ = keepAlivePump(interval, countMax, 0).eagerlyEvaluate(nullptr);
}

kj::Promise<void> SshSession::keepAlivePump(uint32_t interval, uint32_t countMax,
                                            uint32_t unanswered) {
  uint64_t before = wire_.down;
  return timer_.afterDelay(interval * kj::SECONDS).then([=, this]() -> kj::Promise<void> {
    if (wire_.down != before) return keepAlivePump(interval, countMax, 0);
    if (unanswered >= countMax) return fail(strerror(ETIMEDOUT)), kj::READY_NOW;
    int next = 0;
    libssh2_keepalive_send(session_, &next);
    // libssh2 uses the wall clock: after that was set back, it sends nothing, and returns a longer
    // time until the next keep-alive.
    bool asked = next <= int(std::max(interval, 2u));
    return keepAlivePump(interval, countMax, unanswered + asked);
  });
}

void SshSession::afterCall() {
  if (wire_.down == seenDown_) return;
  seenDown_ = wire_.down;
  wakeAll();
}

kj::Promise<void> SshSession::activity() {
  if (dead()) return kj::READY_NOW;
  if (undrained_) {
    // libssh2 can return "again" for a partial packet without reading more. If the rest, or the
    // end, has arrived already, no edge follows, so read once more.
    undrained_ = false;
    wakeAfter(RateLimiter::Clock::duration::zero());
  }
  auto paf = kj::newPromiseAndFulfiller<void>();
  waiting_.add(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

bool SshSession::ended() {
  int error = libssh2_session_last_errno(session_);
  return dead() || left() || error == LIBSSH2_ERROR_SOCKET_DISCONNECT ||
         error == LIBSSH2_ERROR_SOCKET_RECV || error == LIBSSH2_ERROR_SOCKET_SEND;
}

void SshSession::requireAlive() {
  if (!ended()) return;
  kj::throwFatalException(kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                                        kj::heapString(lastError().c_str())));
}

std::string SshSession::lastError() {
  if (dead()) return *death_;
  if (left()) return *leave_;
  char* text = nullptr;
  libssh2_session_last_error(session_, &text, nullptr, 0);
  return text == nullptr || *text == '\0' ? "no reason was given" : text;
}

void SshSession::leave(const std::string& message) {
  leave_ = message.empty() ? "the server ended it" : "the server ended it: " + message;
}

ssize_t SshSession::receive(void* buffer, size_t length) {
  if (allocated_ + queued() > MAX_KEPT) {
    flooded_ = true;
    fail("it keeps sending data that was not requested");
  }
  if (dead()) return -ECONNRESET;
  if (thisTurn_ >= MAX_A_TURN) {
    wakeAfter(RateLimiter::Clock::duration::zero());
    return -EAGAIN;
  }
  size_t allowed = length;
  if (limiter_ != nullptr) {
    allowed = limiter_->take(length);
    if (allowed == 0) {
      wakeAfter(limiter_->untilNext());
      return -EAGAIN;
    }
  }
  ssize_t n;
  do {
    n = recv(socket_, buffer, allowed, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  int error = errno;
  if (limiter_ != nullptr) limiter_->giveBack(allowed - size_t(n > 0 ? n : 0));
  if (n > 0) {
    wire_.down += uint64_t(n);
    thisTurn_ += size_t(n);
    undrained_ = true;
    beginning_.append(static_cast<const char*>(buffer),
                      std::min(size_t(n), MAX_BEGINNING - beginning_.size()));
    // Otherwise the kernel delays acknowledgements, for which a peer with Nagle's algorithm waits:
    // 40 ms in each round trip of the handshake.
    int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    return n;
  }
  undrained_ = false;
  if (n < 0 && (error == EAGAIN || error == EWOULDBLOCK)) return -EAGAIN;
  fail(strerror(n == 0 ? ECONNRESET : error));
  return n == 0 ? 0 : -error;
}

void SshSession::heardDebug(std::string_view message) {
  constexpr size_t MOST = 4096;
  if (auto options = keyOptionsIn(message.substr(0, MOST))) keyOptions_ = std::move(options);
}

ssize_t SshSession::send(const void* buffer, size_t length) {
  if (dead()) return -ECONNRESET;
  if (outStart_ >= MAX_SENT_KEPT) {
    out_.erase(0, outStart_);
    outStart_ = 0;
  }
  out_.append(static_cast<const char*>(buffer), length);
  flush();
  return ssize_t(length);
}

kj::Promise<void> SshSession::readPump() {
  return observer_.whenBecomesReadable().then([this]() {
    thisTurn_ = 0;
    wakeAll();
    return readPump();
  });
}

void SshSession::flush() {
  if (writing_) return;
  auto sent = trySend();
  if (sent == Sent::ALL) return;
  writing_ = true;
  writePump_ = writePump(sent).eagerlyEvaluate(nullptr);
}

SshSession::Sent SshSession::trySend() {
  while (queued() > 0 && !dead()) {
    size_t allowed = limiter_ == nullptr ? queued() : limiter_->take(queued());
    if (allowed == 0) return Sent::PACED;
    ssize_t n = ::send(socket_, out_.data() + outStart_, allowed, MSG_DONTWAIT | MSG_NOSIGNAL);
    int error = errno;
    if (limiter_ != nullptr) limiter_->giveBack(allowed - size_t(n > 0 ? n : 0));
    if (n > 0) {
      wire_.up += uint64_t(n);
      outStart_ += size_t(n);
    } else if (error == EAGAIN || error == EWOULDBLOCK) {
      return Sent::BLOCKED;
    } else if (error != EINTR) {
      fail(strerror(error));
    }
  }
  out_.clear();
  outStart_ = 0;
  return Sent::ALL;
}

kj::Promise<void> SshSession::writePump(Sent sent) {
  // Only a full socket gives an edge; one that waits for the rate limiter does not.
  auto when =
      sent == Sent::PACED ? afterDelay(limiter_->untilNext()) : observer_.whenBecomesWritable();
  return when.then([this]() -> kj::Promise<void> {
    auto again = trySend();
    if (again != Sent::ALL) return writePump(again);
    writing_ = false;
    wakeAll();
    return kj::READY_NOW;
  });
}

kj::Promise<void> SshSession::afterDelay(RateLimiter::Clock::duration delay) {
  auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(delay).count();
  return timer_.afterDelay(nanos * kj::NANOSECONDS);
}

void SshSession::wakeAll() {
  auto waiting = kj::mv(waiting_);
  waiting_ = kj::Vector<kj::Own<kj::PromiseFulfiller<void>>>();
  for (auto& fulfiller : waiting) fulfiller->fulfill();
}

void SshSession::wakeAfter(RateLimiter::Clock::duration delay) {
  if (waking_) return;
  waking_ = true;
  wakePump_ = afterDelay(delay)
                  .then([this]() {
                    waking_ = false;
                    thisTurn_ = 0;
                    wakeAll();
                  })
                  .eagerlyEvaluate(nullptr);
}

void SshSession::waitForProgress(kj::WaitScope& waitScope) {
  KJ_IF_MAYBE(deadline, deadline_) {
    auto late = [this]() {
      timedOut_ = true;
      return KJ_EXCEPTION(DISCONNECTED, "timed out");
    };
    // A peer that never pauses always causes progress, so the deadline is checked here too.
    if (kj::systemPreciseMonotonicClock().now() >= *deadline) kj::throwFatalException(late());
    activity()
        .exclusiveJoin(timer_.atTime(*deadline).then([=]() -> kj::Promise<void> { return late(); }))
        .wait(waitScope);
  } else {
    activity().wait(waitScope);
  }
}

void SshSession::fail(const std::string& why) {
  if (!dead()) death_ = why;
  // Drops queued output, so that no writer waits for space.
  out_.clear();
  outStart_ = 0;
  wakeAll();
}

}  // namespace pibrain
