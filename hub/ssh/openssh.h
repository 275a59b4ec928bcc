#pragma once
// OpenSSH's own client, for what libssh2 cannot do and for ProxyJump.

#include <kj/async-io.h>

#include <memory>
#include <string>
#include <vector>

#include "hub/connection.h"
#include "hub/rate-limiter.h"
#include "hub/ssh/failures.h"
#include "hub/ssh/resolve.h"
#include "hub/subprocess.h"

namespace pibrain {

// ssh with the options that every use of it shares: nothing forwarded, nothing of the user's that
// would keep it from being a plain pipe. Unless it may ask, nobody is asked for a password. Throws
// Failure if there is no ssh.
std::vector<std::string> sshCommand(const SshTarget& target, const char* logLevel, bool mayAsk);

// Adds what keeps ssh from letting in a host whose key has changed or was revoked, as "no" would.
// For the target alone: its jump hosts have settings of their own.
void addHostKeyOptions(const SshTarget& target, std::vector<std::string>& command);

// Of what ssh wrote with LogLevel VERBOSE: what the command behind it wrote; nullopt if ssh has not
// logged in.
std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors);

// Runs `command` at the target through `ssh`, with nobody to ask and nothing forwarded. Returns
// when it has logged in. Throws Failure; `denial` is what is known of the keys, for its message.
kj::Own<Connection> startOpenssh(const SshTarget& target, const std::string& command,
                                 std::shared_ptr<RateLimiter> limiter, const Denial& denial,
                                 kj::AsyncIoContext& io);

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
