#pragma once

#include <stdint.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "hub/base/endpoint.h"
#include "hub/config/ssh-mode.h"
#include "hub/link/connect-options.h"

namespace pibrain {

class SpeculativeConnect;

// And what is known of the way there by SSH.
struct SshOptions : ConnectOptions {
  explicit SshOptions(ConnectOptions options) : ConnectOptions(std::move(options)) {}

  SshMode mode = SshMode::AUTO;
  uint32_t timeoutSeconds = 300;                    // after which TCP gives a dead peer up
  std::shared_ptr<SpeculativeConnect> speculative;  // null: none
  // A connection was made, to where the next one can be begun early.
  std::function<void(const Endpoint&)> dialed = [](const Endpoint&) {};
  // With AUTO: why libssh2 could not connect there last time, so that it is not tried again. Empty:
  // it was not so.
  std::string notLibssh2;
  // libssh2 cannot connect there, and why; OpenSSH did.
  std::function<void(std::string)> learned = [](std::string) {};
};

}  // namespace pibrain
