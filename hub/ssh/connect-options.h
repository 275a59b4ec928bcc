#pragma once

#include <stdint.h>

#include <functional>
#include <memory>
#include <string>

#include "hub/base/endpoint.h"
#include "hub/base/rate-limiter.h"
#include "hub/config/ssh-mode.h"
#include "hub/ssh/step.h"

namespace pibrain {

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

}  // namespace pibrain
