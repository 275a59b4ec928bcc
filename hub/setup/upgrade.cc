#include "hub/setup/manage.h"

#include <mutex>

#include "hub/base/parallel.h"
#include "hub/pass/options.h"
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
    change_.formerVersion = formerVersion(spoke);
    install(remote, request, spoke);
    change_.line.clear();
    change_.outcome = change_.agent == "same" ? "unchanged" : "upgraded";
  }

 private:
  // Returns the version that the agent had at the last contact; empty: not known.
  std::string formerVersion(const SpokeConfig& spoke) {
    if (store_ == nullptr) return "";
    auto contact = store_->lastContact(spoke.name);
    return contact ? contact->version : "";
  }
};

}  // namespace

SpokeChange upgradeSpoke(const SpokeConfig& spoke, const ManageOptions& options, Store* store) {
  SpokeUpgrader upgrader(spoke, options, store);
  return upgrader.run([&]() { upgrader.upgrade(spoke); });
}

std::vector<SpokeChange> upgradeSpokes(const std::vector<const SpokeConfig*>& spokes,
                                       const ManageOptions& options, Store* store,
                                       const std::function<void(const SpokeChange&)>& ended) {
  auto silent = options;
  // Messages of several spokes at once would be mixed up.
  silent.say = [](const std::string&) {};
  std::vector<SpokeChange> changes(spokes.size());
  std::mutex ending;
  forEachInParallel(spokes.size(), options.mayAsk ? 1 : USUAL_JOBS, [&](size_t i) {
    changes[i] = upgradeSpoke(*spokes[i], silent, store);
    std::lock_guard lock(ending);
    ended(changes[i]);
  });
  return changes;
}

}  // namespace pibrain
