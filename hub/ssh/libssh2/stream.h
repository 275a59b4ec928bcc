#pragma once
// The standard input and output of a command behind an SSH channel, as a KJ stream.

#include <kj/async-io.h>

#include <string>

#include "hub/ssh/libssh2/session.h"

typedef struct _LIBSSH2_CHANNEL LIBSSH2_CHANNEL;

namespace pibrain {

// A channel in which one command, or the like, can be asked for. Null: the spoke refused it, or the
// session broke; its last error says why.
LIBSSH2_CHANNEL* openSession(SshSession& session, unsigned window, kj::WaitScope& waitScope);

class SshStream : public kj::AsyncIoStream {
 public:
  // Takes the channel over; the session has to outlive this object. One read asks libssh2 for at
  // most `maxRead` bytes, since it adds what is asked for to the window that it grants.
  SshStream(SshSession& session, LIBSSH2_CHANNEL* channel, size_t maxRead)
      : session_(session), channel_(channel), maxRead_(maxRead), eofPump_(nullptr) {}
  ~SshStream() noexcept(false);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override;

  LIBSSH2_CHANNEL* channel() { return channel_; }
  // The beginning of the command's standard error so far.
  const std::string& errors() const { return errors_; }
  // Takes what has arrived of it, so that it does not use up the channel's window.
  void drainErrors();

 private:
  kj::Promise<size_t> readLoop(kj::byte* buffer, size_t minBytes, size_t maxBytes, size_t got);
  kj::Promise<void> eofLoop();

  SshSession& session_;
  LIBSSH2_CHANNEL* channel_;
  size_t maxRead_;
  std::string errors_;
  kj::Promise<void> eofPump_;
};

}  // namespace pibrain
