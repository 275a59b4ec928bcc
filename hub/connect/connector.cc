#include "hub/connect/connector.h"

#include "hub/connect/ssh-connector.h"

namespace pibrain {

namespace {

// The connector for a source on this machine.
class LocalConnector : public Connector {
 public:
  explicit LocalConnector(const SpokeConfig& spoke) : root_(spoke.source.path) {}

  kj::Own<Connection> connect(ConnectOptions, kj::AsyncIoContext& io) override {
    return startLocalAgent(root_, io);
  }

 private:
  const std::string root_;
};

}  // namespace

std::unique_ptr<Connector> connectorTo(const SpokeConfig& spoke, Store* store,
                                       const MayDial& mayDial) {
  if (isLocal(spoke)) return std::make_unique<LocalConnector>(spoke);
  return std::make_unique<SshConnector>(spoke, store, mayDial);
}

}  // namespace pibrain
