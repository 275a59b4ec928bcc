#pragma once

#include <kj/io.h>
#include <sys/socket.h>

#include <functional>
#include <string>

#include "hub/ssh/connect-options.h"
#include "hub/ssh/target.h"

struct addrinfo;

namespace pibrain {

// A TCP connection to where the target was last time, begun before it is known where it is now.
// sshd starts a process for it, which takes longer than `ssh -G` and the name server's answer.
class SpeculativeConnect {
 public:
  // Does not block. What fails here is not told: dial() tries again.
  explicit SpeculativeConnect(const Endpoint& endpoint);

  // The address that it goes to, if it is one of these; null otherwise.
  const struct addrinfo* among(const struct addrinfo* addresses) const;

  // The socket, if it is connected and the peer has not hung up; or else a null descriptor, and it
  // is closed.
  kj::AutoCloseFd take();

 private:
  struct sockaddr_storage address_ = {};
  socklen_t length_ = 0;
  kj::AutoCloseFd socket_;
};

// A connected socket that does not block. Throws Failure.
kj::AutoCloseFd dial(const SshTarget& target, const SshOptions& options);

}  // namespace pibrain
