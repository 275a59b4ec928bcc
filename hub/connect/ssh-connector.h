#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hub/connect/connector.h"
#include "hub/ssh/openssh-client.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

class SpeculativeConnect;

// The way there by SSH, for a source with a host.
class SshConnector : public Connector {
 public:
  // Begins to ask ssh for its configuration, and to connect to where the spoke was last time.
  SshConnector(const SpokeConfig& spoke, Store* store, const MayDial& mayDial);

  kj::Own<Connection> connect(ConnectOptions options, kj::AsyncIoContext& io) override;
  void confirmed() override;

 private:
  void connectSpeculatively(const MayDial& mayDial);

  const SpokeConfig& spoke_;
  Store* const store_;
  std::optional<SshVersion> ssh_;  // as the store has it
  std::optional<SshResolution> resolution_;
  std::optional<Endpoint> last_, reached_;
  std::string configState_;
  std::string server_;         // what whyNotLibssh2_ is about
  std::string whyNotLibssh2_;  // as this connection found; empty: it did not
  std::shared_ptr<SpeculativeConnect> speculative_;
};

}  // namespace pibrain
