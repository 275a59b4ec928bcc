#include "hub/setup/spoke-rows.h"

#include "hub/setup/sync-key.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/known-hosts.h"

namespace pibrain {

namespace {

std::optional<Store::Contact> contactWith(const SpokeConfig& spoke, Store& store) {
  if (spoke.method != SyncMethod::RSYNC) return store.lastContact(spoke.name);
  // There is no agent to report itself, so the last good run is the last contact.
  auto runs = store.lastRuns(spoke.name);
  if (!runs.ok() || !runs->lastGood) return std::nullopt;
  return Store::Contact{"", "", *runs->lastGood};
}

}  // namespace

std::vector<SpokeRow> spokeRows(const Config& config, Store* store) {
  std::vector<SpokeRow> rows;
  for (auto& spoke : config.spokes) {
    SpokeRow row{&spoke, std::nullopt, syncKeyPath(spoke), "", std::nullopt};
    if (store != nullptr) row.contact = contactWith(spoke, *store);
    if (!row.key.empty()) {
      auto file = inspectKeyFile(row.key);
      if (!file.publicBlob.empty()) row.fingerprint = fingerprint(file.publicBlob);
      if (auto problem = whyNoPrivateKey(file)) row.keyProblem = problem->why;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace pibrain
