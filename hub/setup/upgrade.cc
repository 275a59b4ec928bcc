#include "hub/setup/manage.h"

#include "hub/setup/setup.h"

namespace pibrain {

namespace {

class SpokeUpgrader : public Setup {
 public:
  SpokeUpgrader(const SpokeConfig& spoke, const ManageOptions& options, Store* store)
      : Setup(spoke.name, options, store) {}

  void upgrade(const SpokeConfig& spoke) {
    requireAgent(spoke, "agent");
    auto target = login(spoke);
    InstallRequest request;
    request.publicKey = currentKey(spoke).publicText;
    request.root = spoke.source.path;
    request.agentOnly = true;
    request.dryRun = options_.dryRun;
    RemoteInstall remote(target, options_.mayAsk);
    install(remote, request, spoke);
    change_.line.clear();
    change_.outcome = change_.agent == "same" ? "unchanged" : "upgraded";
  }
};

}  // namespace

SpokeChange upgradeSpoke(const SpokeConfig& spoke, const ManageOptions& options, Store* store) {
  SpokeUpgrader upgrader(spoke, options, store);
  return upgrader.run([&]() { upgrader.upgrade(spoke); });
}

}  // namespace pibrain
