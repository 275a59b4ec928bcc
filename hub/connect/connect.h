#pragma once

#include <kj/async-io.h>

#include <functional>
#include <memory>
#include <string>

#include "hub/base/rate-limiter.h"
#include "hub/history/endpoint.h"
#include "hub/link/connection.h"
#include "hub/ssh/resolve.h"
#include "hub/ssh/step.h"

namespace pibrain {

// Which program speaks SSH.
enum class SshMode {
  AUTO,  // libssh2, and OpenSSH's client for what libssh2 cannot do
  LIBSSH2,
  OPENSSH,
};
const char* toString(SshMode mode);

class EarlyDial;

struct ConnectOptions {
  SshMode mode = SshMode::AUTO;
  uint32_t timeoutSeconds = 300;         // after which TCP gives a dead peer up
  std::shared_ptr<RateLimiter> limiter;  // null: none
  std::shared_ptr<EarlyDial> early;      // null: none
  // A connection was made, to where the next one can be begun early.
  std::function<void(const Endpoint&)> dialed = [](const Endpoint&) {};
  // What a person should hear though it went well.
  std::function<void(std::string)> warn = [](std::string) {};
  // Which program was chosen, and why if it is not the usual one.
  std::function<void(std::string)> chose = [](std::string) {};
  // With AUTO: why libssh2 could not connect there last time, so that it is not tried again. Empty:
  // it was not so.
  std::string notLibssh2;
  // libssh2 cannot connect there, and why; OpenSSH did.
  std::function<void(std::string)> learned = [](std::string) {};
  // A step was done; `detail` says with what, for a person. OpenSSH's client tells of LOGIN and
  // COMMAND alone.
  std::function<void(SshStep, std::string)> passed = [](SshStep, std::string) {};
};

// Once, before threads.
void initSsh();

std::string libssh2Version();

// Connects, checks the host's key before anything is told to it, logs in with a key, and runs
// `command` there. A server that turns the connection away is tried twice more, after a pause; and
// what libssh2 cannot do, with AUTO, OpenSSH's client does. Throws Failure, with cause and cure.
kj::Own<Connection> connectSsh(const SshTarget& target, const std::string& command,
                               const ConnectOptions& options, kj::AsyncIoContext& io);

}  // namespace pibrain
