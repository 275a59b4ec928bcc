#include "hub/ssh/libssh2/stream.h"

#include <kj/debug.h>
#include <libssh2.h>

#include <algorithm>

namespace pibrain {

namespace {

constexpr size_t MAX_ERRORS = 16 * 1024;
// With more queued bytes, writing waits for the socket.
constexpr size_t MAX_QUEUED = 1024 * 1024;

kj::Exception lost(SshSession& session) {
  return KJ_EXCEPTION(DISCONNECTED, "the SSH connection failed", session.lastError().c_str());
}

}  // namespace

LIBSSH2_CHANNEL* openSession(SshSession& session, unsigned window, kj::WaitScope& waitScope) {
  constexpr char TYPE[] = "session";
  constexpr unsigned PACKET = 32768;
  LIBSSH2_CHANNEL* channel = nullptr;
  session.runToCompletion(
      [&]() {
        channel = libssh2_channel_open_ex(session.get(), TYPE, sizeof(TYPE) - 1, window, PACKET,
                                          nullptr, 0);
        return channel == nullptr ? libssh2_session_last_errno(session.get()) : 0;
      },
      waitScope);
  return channel;
}

SshStream::~SshStream() noexcept(false) {
  // If this would block, the session frees the channel when it is freed.
  libssh2_channel_free(channel_);
}

kj::Promise<size_t> SshStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  return readLoop(static_cast<kj::byte*>(buffer), minBytes, maxBytes, 0);
}

kj::Promise<size_t> SshStream::readLoop(kj::byte* buffer, size_t minBytes, size_t maxBytes,
                                        size_t got) {
  for (;;) {
    // Before the read, never after it: draining can read bytes of either stream from the socket,
    // and nobody would notice those of this stream.
    drainErrors();
    ssize_t n = libssh2_channel_read(channel_, reinterpret_cast<char*>(buffer) + got,
                                     std::min(maxBytes - got, maxRead_));
    session_.afterCall();
    if (n > 0) {
      got += size_t(n);
      if (got >= minBytes) return got;
    } else if (n == 0) {
      // Packets of standard error that came with the end would hide the end.
      drainErrors();
      if (libssh2_channel_eof(channel_)) return got;
      break;
    } else if (n != LIBSSH2_ERROR_EAGAIN) {
      return lost(session_);
    } else {
      break;
    }
  }
  return session_.activity().then([this, buffer, minBytes, maxBytes, got]() {
    return readLoop(buffer, minBytes, maxBytes, got);
  });
}

kj::Promise<void> SshStream::write(const void* buffer, size_t size) {
  auto* bytes = static_cast<const char*>(buffer);
  while (size > 0 && session_.queued() < MAX_QUEUED) {
    ssize_t n = libssh2_channel_write(channel_, bytes, size);
    session_.afterCall();
    if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) return lost(session_);
    if (n <= 0) break;
    bytes += n;
    size -= size_t(n);
  }
  if (size == 0) return kj::READY_NOW;
  return session_.activity().then([this, bytes, size]() { return write(bytes, size); });
}

kj::Promise<void> SshStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  if (pieces.size() == 0) return kj::READY_NOW;
  auto promise = write(pieces[0].begin(), pieces[0].size());
  if (pieces.size() == 1) return promise;
  return promise.then(
      [this, rest = pieces.slice(1, pieces.size())]() mutable { return write(rest); });
}

void SshStream::shutdownWrite() { eofPump_ = eofLoop().eagerlyEvaluate(nullptr); }

kj::Promise<void> SshStream::eofLoop() {
  int result = libssh2_channel_send_eof(channel_);
  session_.afterCall();
  if (result != LIBSSH2_ERROR_EAGAIN) return kj::READY_NOW;
  return session_.activity().then([this]() { return eofLoop(); });
}

void SshStream::drainErrors() {
  char buffer[4096];
  for (;;) {
    ssize_t n = libssh2_channel_read_stderr(channel_, buffer, sizeof(buffer));
    session_.afterCall();
    if (n <= 0) return;
    errors_.append(buffer, std::min(size_t(n), MAX_ERRORS - std::min(errors_.size(), MAX_ERRORS)));
  }
}

}  // namespace pibrain
