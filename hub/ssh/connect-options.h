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

// Adds options for connections by SSH.
struct SshOptions : ConnectOptions {
  explicit SshOptions(ConnectOptions options) : ConnectOptions(std::move(options)) {}

  SshMode mode = SshMode::AUTO;
  uint32_t timeoutSeconds = 300;                    // after which TCP gives up on a dead peer
  std::shared_ptr<SpeculativeConnect> speculative;  // null: none
  // Called with the address of a connection, which the next run tries early.
  std::function<void(const Endpoint&)> dialed = [](const Endpoint&) {};
  // With AUTO: why libssh2 could not connect last time, so that it is not tried again. nullopt:
  // it could, or was not tried.
  std::optional<std::string> notLibssh2;
  // Called with the reason if libssh2 cannot connect and OpenSSH did.
  std::function<void(std::string)> learned = [](std::string) {};
};

}  // namespace pibrain
