#pragma once

#include <kj/async-io.h>

#include <functional>
#include <memory>

#include "hub/base/endpoint.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/link/connect-options.h"
#include "hub/link/connection.h"

namespace pibrain {

// A way to connect to the agent of one spoke. It is created before the connection is needed, so
// that slow steps can begin early.
class Connector {
 public:
  virtual ~Connector() = default;

  // Starts the agent. Must be called once at most. Throws Failure.
  virtual kj::Own<Connection> connect(ConnectOptions options, kj::AsyncIoContext& io) = 0;

  // Called when the agent has answered: remembers the address, which the next connection tries
  // first.
  virtual void confirmed() {}
};

// Returns whether one more speculative connection to that address is allowed.
using MayDial = std::function<bool(const Endpoint&)>;

// Returns the connector for a spoke whose method is AGENT, local or remote. It uses what `store`
// (null: none) knows of earlier connections. Both `store` and `spoke` must outlive it.
std::unique_ptr<Connector> connectorTo(
    const SpokeConfig& spoke, Store* store, const MayDial& mayDial = [](auto&) { return true; });

}  // namespace pibrain
