#pragma once
// A libssh2 session on a non-blocking socket, driven by a KJ event loop.
//
// libssh2 reads and writes through this class's callbacks. The send callback always accepts
// everything, into a buffer that is flushed as the socket allows, because libssh2 handles partial
// sends incorrectly (above all during a key re-exchange). One pump waits for the socket to become
// readable; waiters for progress retry then, and also when another call read bytes, which may have
// been theirs.

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/io.h>
#include <kj/vector.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hub/base/rate-limiter.h"
#include "hub/link/access.h"
#include "hub/pass/spoke-report.h"

typedef struct _LIBSSH2_SESSION LIBSSH2_SESSION;

namespace pibrain {

// libssh2's return value for "would block".
inline constexpr int SSH_AGAIN = -37;

class SshSession {
 public:
  // `limiter` (null: none) paces the socket, both ways together.
  SshSession(kj::AutoCloseFd socket, kj::UnixEventPort& port, kj::Timer& timer,
             std::shared_ptr<RateLimiter> limiter);
  ~SshSession() noexcept(false);
  KJ_DISALLOW_COPY(SshSession);

  LIBSSH2_SESSION* get() { return session_; }
  WireBytes wire() const { return wire_; }

  // Calls `call`, a libssh2 function, until it returns something other than SSH_AGAIN. Throws a
  // DISCONNECTED exception at the deadline.
  template <typename Call>
  auto runToCompletion(Call&& call, kj::WaitScope& waitScope) {
    for (;;) {
      auto result = call();
      afterCall();
      if (result != SSH_AGAIN) return result;
      waitForProgress(waitScope);
    }
  }
  // Counts from now; timer_ does not advance while the event loop is not running.
  void setDeadlineAfter(uint32_t seconds);
  void extendDeadline(kj::Duration by);
  void clearDeadline() { deadline_ = nullptr; }
  // Returns whether the deadline has passed.
  bool timedOut() const { return timedOut_; }

  // From now on, sends a keep-alive after each `interval` seconds of silence, and gives up after
  // `countMax` without an answer (ssh_config(5), ServerAliveInterval). Zero: never.
  void keepAlive(uint32_t interval, uint32_t countMax);

  // Must be called after each libssh2 call, when its results are stored.
  void afterCall();
  // Resolves when a call that returned SSH_AGAIN should be repeated.
  kj::Promise<void> activity();

  // Returns the first bytes received, at most MAX_BEGINNING.
  const std::string& beginning() const { return beginning_; }
  static constexpr size_t MAX_BEGINNING = 512;

  // Returns the options of the key's line, if the server reported them.
  const std::optional<KeyOptions>& keyOptions() const { return keyOptions_; }

  // Returns how many bytes wait for the socket.
  size_t queued() const { return out_.size() - outStart_; }

  // Returns whether the socket is dead.
  bool dead() const { return death_.has_value(); }
  // Returns whether it is dead because the peer kept sending data that nobody requested.
  bool flooded() const { return flooded_; }
  // Returns whether the peer sent a disconnect message (RFC 4253, section 11.1).
  bool left() const { return leave_.has_value(); }
  // Returns whether dead() or left(): then libssh2's results say nothing about a request.
  bool ended();
  // Throws a DISCONNECTED exception if ended().
  void requireAlive();
  // Returns why the session died, the peer's disconnect message, or libssh2's last error.
  std::string lastError();

  // For the callbacks. Counts libssh2's memory, since it keeps every packet that nobody reads.
  void* allocate(size_t size);
  void* reallocate(void* block, size_t size);
  void release(void* block);
  ssize_t receive(void* buffer, size_t length);
  ssize_t send(const void* buffer, size_t length);
  void heardDebug(std::string_view message);
  void leave(const std::string& message);
  int fd() const { return socket_; }
  bool owns(int fd) const { return fd == socket_.get(); }

 private:
  kj::Promise<void> readPump();
  void flush();
  // Why sending stopped: everything was sent (or the socket is dead), the socket is full, or the
  // rate limit is reached.
  enum class Sent { ALL, BLOCKED, PACED };
  Sent trySend();
  kj::Promise<void> writePump(Sent sent);
  kj::Promise<void> afterDelay(RateLimiter::Clock::duration delay);
  void wakeAll();
  void wakeAfter(RateLimiter::Clock::duration delay);
  void waitForProgress(kj::WaitScope& waitScope);
  void fail(const std::string& why);
  kj::Promise<void> keepAlivePump(uint32_t interval, uint32_t countMax, uint32_t unanswered);

  size_t allocated_ = 0;  // by session_, so declared before it
  kj::AutoCloseFd socket_;
  kj::Timer& timer_;
  std::shared_ptr<RateLimiter> limiter_;
  kj::UnixEventPort::FdObserver observer_;
  LIBSSH2_SESSION* session_;
  WireBytes wire_;
  size_t thisTurn_ = 0;    // bytes received since the event loop last ran
  uint64_t seenDown_ = 0;  // wire_.down at the last afterCall()
  kj::Maybe<kj::TimePoint> deadline_;

  std::string out_;  // not sent yet from outStart_ on
  size_t outStart_ = 0;
  bool writing_ = false;              // writePump_ is sending
  std::optional<std::string> death_;  // why the session died
  std::optional<std::string> leave_;  // the peer's disconnect message
  bool flooded_ = false;
  bool timedOut_ = false;
  std::string beginning_;
  std::optional<KeyOptions> keyOptions_;

  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  bool waking_ = false;     // a timer will wake the waiters
  bool undrained_ = false;  // the socket may have more bytes than receive() read last
  kj::Promise<void> readPump_;
  kj::Promise<void> writePump_;
  kj::Promise<void> wakePump_;
  kj::Promise<void> keepAlivePump_;
};

}  // namespace pibrain
