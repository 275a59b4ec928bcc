#pragma once
// OpenSSH's own client, for what libssh2 cannot do and for ProxyJump.

#include <kj/async-io.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/subprocess.h"
#include "hub/link/connection.h"
#include "hub/link/step.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/connect-options.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

// For OpensshUse, so that ssh writes what the following goes by.
inline constexpr char TELLING_LOG_LEVEL[] = "DEBUG1";

// Of what ssh wrote with that LogLevel: what the command behind it wrote; nullopt if ssh has not
// logged in.
std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors);

// Whether ssh, as it ended, says that its connection did.
bool wasCut(const std::string& errors);

// Why ssh ended by itself before the command behind it began: at the way to the target, at the
// login, or since the server opened no session.
std::string explainFailedStart(const SshTarget& target, const std::string& errors,
                               const AuthFailure& authFailure);

// Watches an ssh, by what it writes with that LogLevel, until the command behind it begins. Each
// step has ConnectTimeout for itself, which ssh counts to the server's greeting only.
class LoginWatch {
 public:
  explicit LoginWatch(const SshTarget& target);

  // `errors`: all that ssh has written so far. True once the command begins, or the connection is
  // one that somebody has open, which logs in no more.
  bool begun(const std::string& errors);

  // How long the step may still take.
  std::chrono::milliseconds left() const;
  // What it means that it took longer.
  std::string tookTooLong(const std::string& errors) const;

 private:
  const SshTarget& target_;
  SshStep step_ = SshStep::NAME;
  std::chrono::steady_clock::time_point deadline_;
};

// Runs `command` at the target through `ssh`, with nobody to ask and nothing forwarded. Returns
// when it begins. Throws Failure or TurnedAway; `known` is what is known of the host, and
// `authFailure` of the keys, for what there is to say.
kj::Own<Connection> startOpenssh(const SshTarget& target, const KnownTarget& known,
                                 const std::string& command, const SshOptions& options,
                                 const AuthFailure& authFailure, kj::AsyncIoContext& io);

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
