#pragma once
// OpenSSH's own client, for what libssh2 cannot do and for ProxyJump.

#include <kj/async-io.h>

#include <string>
#include <vector>

#include "hub/base/subprocess.h"
#include "hub/link/connection.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/failures.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

// Of what ssh wrote with LogLevel VERBOSE or DEBUG1: what the command behind it wrote; nullopt if
// ssh has not logged in.
std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors);

// Runs `command` at the target through `ssh`, with nobody to ask and nothing forwarded. Returns
// when it has logged in. Throws Failure; `known` is what is known of the host, and `denial` of the
// keys, for what there is to say.
kj::Own<Connection> startOpenssh(const SshTarget& target, const KnownTarget& known,
                                 const std::string& command, const ConnectOptions& options,
                                 const Denial& denial, kj::AsyncIoContext& io);

// A ProxyCommand, or an ssh to the last host of ProxyJump, whose standard input and output lead to
// the target.
class Proxy {
 public:
  // Throws Failure if there is no such program.
  explicit Proxy(const SshTarget& target);
  ~Proxy() noexcept(false);
  KJ_DISALLOW_COPY(Proxy);

  // The socket that leads there, once; it does not block.
  kj::AutoCloseFd takeSocket() { return kj::mv(child_.stdio); }

  // To be called when the connection through it broke off early: what the proxy has to say of it,
  // for a person. Empty if it still runs, and so is not the cause.
  std::string explain();

 private:
  SshTarget target_;
  Spawned child_;
};

}  // namespace pibrain
