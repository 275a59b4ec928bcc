#pragma once
// The standard input and output of a command on an SSH channel, as a KJ stream.

#include <kj/async-io.h>

#include <string>

#include "hub/ssh/libssh2/session.h"

typedef struct _LIBSSH2_CHANNEL LIBSSH2_CHANNEL;

namespace pibrain {

// Opens a channel for one command or subsystem. Null: the spoke refused, or the session broke; its
// last error tells why.
LIBSSH2_CHANNEL* openSession(SshSession& session, unsigned window, kj::WaitScope& waitScope);

class SshStream : public kj::AsyncIoStream {
 public:
  // Takes ownership of the channel; the session must outlive this object. A read requests at most
  // `maxRead` bytes from libssh2, which enlarges the window by the requested size.
  SshStream(SshSession& session, LIBSSH2_CHANNEL* channel, size_t maxRead)
      : session_(session), channel_(channel), maxRead_(maxRead), eofPump_(nullptr) {}
  ~SshStream() noexcept(false);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override;

  LIBSSH2_CHANNEL* channel() { return channel_; }
  // Returns the beginning of the command's standard error so far.
  const std::string& errors() const { return errors_; }
  // Reads what has arrived of it, so that it does not fill the channel's window.
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
