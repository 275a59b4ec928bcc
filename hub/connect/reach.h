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
  // Begins to ask ssh for its configuration, which takes a moment.
  explicit SpokeReach(const SpokeConfig& spoke);

  // Uses what is known of the way from last time, and begins to connect to where the spoke was. The
  // store has to outlive connect(). `mayDial`: whether one more may be begun to that place.
  void dialEarly(
      Store& store,
      const std::function<bool(const Endpoint&)>& mayDial = [](auto&) { return true; });

  // Starts the agent, with the spoke's own settings in place of `options.mode` and
  // `options.timeoutSeconds`. Throws Failure.
  kj::Own<Connection> connect(ConnectOptions options, kj::AsyncIoContext& io);

  // To be called when the agent has answered: it is here that the next run looks first.
  void remember(Store& store) const;

 private:
  const SpokeConfig& spoke_;
  std::optional<SshResolution> resolution_;  // none: the source is on this machine
  Store* store_ = nullptr;
  std::optional<Endpoint> last_, reached_;
  std::string configState_;
  std::string server_;         // what whyNotLibssh2_ is about
  std::string whyNotLibssh2_;  // as this connection found; empty: it did not
  std::shared_ptr<EarlyDial> early_;
};

}  // namespace pibrain
