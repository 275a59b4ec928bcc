#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hub/connect/connector.h"
#include "hub/ssh/openssh-client.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

class SpeculativeConnect;

// The connector for a source with a host: it uses SSH.
class SshConnector : public Connector {
 public:
  // Starts `ssh -G`, and a connection to the spoke's last known address.
  SshConnector(const SpokeConfig& spoke, Store* store, const MayDial& mayDial);

  kj::Own<Connection> connect(ConnectOptions options, kj::AsyncIoContext& io) override;
  void confirmed() override;

 private:
  void connectSpeculatively(const MayDial& mayDial);

  const SpokeConfig& spoke_;
  Store* const store_;
  std::optional<SshVersion> ssh_;  // from the store
  std::optional<SshResolution> resolution_;
  std::optional<Endpoint> last_, reached_;
  std::string configState_;
  std::string server_;                        // the server and libssh2 that whyNotLibssh2_ is about
  std::optional<std::string> whyNotLibssh2_;  // found by this connection
  std::shared_ptr<SpeculativeConnect> speculative_;
};

}  // namespace pibrain
