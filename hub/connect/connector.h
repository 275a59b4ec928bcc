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

// The way to the agent of one spoke: it is made before the connection is wanted, so that what takes
// a moment can begin.
class Connector {
 public:
  virtual ~Connector() = default;

  // Starts the agent. To be called once. Throws Failure, with cause and cure.
  virtual kj::Own<Connection> connect(ConnectOptions options, kj::AsyncIoContext& io) = 0;

  // To be called when the agent has answered: what was found on the way is where the next
  // connection looks first.
  virtual void confirmed() {}
};

// Whether one more connection may be begun to that place before it is known that it is wanted.
using MayDial = std::function<bool(const Endpoint&)>;

// The connector for a spoke whose method is AGENT, wherever it is. What it knows of the way is from
// `store` (null: nothing), which has to outlive it, as the spoke has to.
std::unique_ptr<Connector> connectorTo(
    const SpokeConfig& spoke, Store* store, const MayDial& mayDial = [](auto&) { return true; });

}  // namespace pibrain
