#pragma once

#include <kj/async-io.h>

#include <functional>
#include <optional>
#include <string>

#include "hub/config/config.h"
#include "hub/connect/connect.h"
#include "hub/history/store.h"
#include "hub/link/connection.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

// The way to the agent of a spoke whose method is AGENT, wherever it is.
class SpokeReach {
 public:
  using MayDial = std::function<bool(const Endpoint&)>;

  // Begins to ask ssh for its configuration, which takes a moment, and to connect to where the
  // spoke was last time. `store` (null: nothing is known) has to outlive it. `mayDial`: whether one
  // more connection may be begun to that place.
  SpokeReach(
      const SpokeConfig& spoke, Store* store, const MayDial& mayDial = [](auto&) { return true; });

  // Starts the agent, with the spoke's own settings in place of `options.mode` and
  // `options.timeoutSeconds`. Throws Failure.
  kj::Own<Connection> connect(ConnectOptions options, kj::AsyncIoContext& io);

  // To be called when the agent has answered: what was found on the way is where the next run looks
  // first.
  void remember() const;

 private:
  void dialEarly(const MayDial& mayDial);

  const SpokeConfig& spoke_;
  Store* const store_;
  std::optional<SshResolution> resolution_;  // none: the source is on this machine
  std::optional<Endpoint> last_, reached_;
  std::string configState_;
  std::string server_;         // what whyNotLibssh2_ is about
  std::string whyNotLibssh2_;  // as this connection found; empty: it did not
  std::shared_ptr<EarlyDial> early_;
};

}  // namespace pibrain
