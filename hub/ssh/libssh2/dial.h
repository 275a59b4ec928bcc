#pragma once

#include <kj/io.h>
#include <sys/socket.h>

#include <functional>
#include <string>

#include "hub/ssh/connect-options.h"
#include "hub/ssh/target.h"

struct addrinfo;

namespace pibrain {

// A TCP connection to the target's last known address, started before its current address is known.
// sshd forks a process for it, which takes longer than `ssh -G` and the name server's answer.
class SpeculativeConnect {
 public:
  // Does not block. Errors are ignored, because dial() tries again.
  explicit SpeculativeConnect(const Endpoint& endpoint);

  // Returns its address if it is one of these; null otherwise.
  const struct addrinfo* among(const struct addrinfo* addresses) const;

  // Returns the socket if it is connected and the peer has not closed it; otherwise closes it and
  // returns a null descriptor.
  kj::AutoCloseFd take();

 private:
  struct sockaddr_storage address_ = {};
  socklen_t length_ = 0;
  kj::AutoCloseFd socket_;
};

// Returns a connected, non-blocking socket. Throws Failure.
kj::AutoCloseFd dial(const SshTarget& target, const SshOptions& options);

}  // namespace pibrain
