#pragma once

#include <functional>
#include <memory>
#include <string>

#include "hub/base/passphrase-prompt.h"
#include "hub/base/rate-limiter.h"
#include "hub/link/step.h"

namespace pibrain {

// What the caller wants of a connection, for every kind of connector.
struct ConnectOptions {
  // The connection will be idle most of the time, and its loss must be noticed all the same.
  bool watches = false;
  // Asked now and then while the address is looked up and the server does not answer: whether to
  // give this attempt up.
  std::function<bool()> giveUp = []() { return false; };
  std::shared_ptr<RateLimiter> limiter;  // null: none
  // The passphrases of the run.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
  // Receives warnings about a connection that works.
  std::function<void(std::string)> warn = [](std::string) {};
  // Receives which program speaks SSH, and why, if it is not the default.
  std::function<void(SshClient, std::string)> chose = [](SshClient, std::string) {};
  // Called when a step is done, with a detail for a person. OpenSSH's client reports only LOGIN and
  // COMMAND.
  std::function<void(SshStep, std::string)> passed = [](SshStep, std::string) {};
};

}  // namespace pibrain
