#pragma once
// A libssh2 session on a non-blocking socket, driven by a KJ event loop.
//
// libssh2 reads and writes through callbacks of ours. Sending always takes everything, into a
// buffer that is flushed as the socket allows: libssh2's handling of partial sends has bugs
// (during a key re-exchange above all). One pump waits for the socket to become readable; those
// who wait for progress try again when it did, and also when another one's call read bytes, since
// those may have been theirs.

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

// libssh2's "would block", as its calls return it.
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

  // Calls `call`, a libssh2 function, until it returns something else than SSH_AGAIN. Throws a
  // DISCONNECTED exception when the deadline passes.
  template <typename Call>
  auto runToCompletion(Call&& call, kj::WaitScope& waitScope) {
    for (;;) {
      auto result = call();
      afterCall();
      if (result != SSH_AGAIN) return result;
      waitForProgress(waitScope);
    }
  }
  // Counted from this moment: timer_ stands still while the event loop does not run.
  void setDeadlineAfter(uint32_t seconds);
  void extendDeadline(kj::Duration by);
  void clearDeadline() { deadline_ = nullptr; }
  // Whether the deadline passed.
  bool timedOut() const { return timedOut_; }

  // From now on, asks the peer for a sign of life after each `interval` seconds of silence, and
  // gives up when `countMax` of these were not answered (ssh_config(5), ServerAliveInterval). Zero:
  // never asks.
  void keepAlive(uint32_t interval, uint32_t countMax);

  // To be called after each libssh2 call, with what it did already visible.
  void afterCall();
  // When to call again after SSH_AGAIN.
  kj::Promise<void> activity();

  // The first bytes that were received, at most MAX_BEGINNING of them.
  const std::string& beginning() const { return beginning_; }
  static constexpr size_t MAX_BEGINNING = 512;

  // What the server said the key's line leaves it, if it did.
  const std::optional<KeyOptions>& keyOptions() const { return keyOptions_; }

  // Bytes taken from libssh2 that the socket has not taken yet.
  size_t queued() const { return out_.size() - outStart_; }

  // Whether nothing goes over the socket any more.
  bool dead() const { return !death_.empty(); }
  // Whether that is so because the peer sent without end what nobody asked for.
  bool flooded() const { return flooded_; }
  // Whether the peer took its leave (RFC 4253, section 11.1).
  bool left() const { return !leave_.empty(); }
  // Whether it is dead, or the peer took its leave: then libssh2's results tell nothing of what was
  // asked.
  bool ended();
  // Throws a DISCONNECTED exception if so.
  void requireAlive();
  // What the session died of, how the peer took its leave, or the last error in libssh2's words.
  std::string lastError();

  // For the callbacks. What libssh2 allocates is counted: it keeps every packet that nobody asks
  // for.
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
  // How far sending got: to the end (or the socket is dead), to a full socket, to the rate's limit.
  enum class Sent { ALL, BLOCKED, PACED };
  Sent trySend();
  kj::Promise<void> writePump(Sent sent);
  kj::Promise<void> afterDelay(RateLimiter::Clock::duration delay);
  void wakeAll();
  void wakeAfter(RateLimiter::Clock::duration delay);
  void waitForProgress(kj::WaitScope& waitScope);
  void fail(const std::string& why);
  kj::Promise<void> keepAlivePump(uint32_t interval, uint32_t countMax, uint32_t unanswered);

  size_t allocated_ = 0;  // by session_, so before it
  kj::AutoCloseFd socket_;
  kj::Timer& timer_;
  std::shared_ptr<RateLimiter> limiter_;
  kj::UnixEventPort::FdObserver observer_;
  LIBSSH2_SESSION* session_;
  WireBytes wire_;
  size_t thisTurn_ = 0;    // bytes received since the event loop had its turn
  uint64_t seenDown_ = 0;  // wire_.down when afterCall() last looked
  kj::Maybe<kj::TimePoint> deadline_;

  std::string out_;  // from outStart_ on: not sent yet
  size_t outStart_ = 0;
  bool writing_ = false;  // writePump_ sends what is queued
  std::string death_;     // what the session died of
  std::string leave_;     // how the peer took its leave
  bool flooded_ = false;
  bool timedOut_ = false;
  std::string beginning_;
  std::optional<KeyOptions> keyOptions_;

  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  bool waking_ = false;     // a timer will wake those who wait
  bool undrained_ = false;  // what receive() took last may not be all that is there
  kj::Promise<void> readPump_;
  kj::Promise<void> writePump_;
  kj::Promise<void> wakePump_;
  kj::Promise<void> keepAlivePump_;
};

}  // namespace pibrain
