#pragma once

#include <functional>
#include <memory>
#include <string>

#include "hub/base/passphrase-prompt.h"
#include "hub/base/rate-limiter.h"
#include "hub/link/step.h"

namespace pibrain {

// What whoever wants a connection says about it, whatever makes it.
struct ConnectOptions {
  std::shared_ptr<RateLimiter> limiter;  // null: none
  // Of the run that this is for.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
  // What a person should hear though it went well.
  std::function<void(std::string)> warn = [](std::string) {};
  // Which program was chosen, and why if it is not the usual one.
  std::function<void(std::string)> chose = [](std::string) {};
  // A step was done; `detail` says with what, for a person. OpenSSH's client tells of LOGIN and
  // COMMAND alone.
  std::function<void(SshStep, std::string)> passed = [](SshStep, std::string) {};
};

}  // namespace pibrain
