#include "hub/setup/spoke-rows.h"

#include "hub/setup/sync-key.h"
#include "hub/ssh/key-file.h"
#include "hub/ssh/known-hosts.h"

namespace pibrain {

std::vector<SpokeRow> spokeRows(const Config& config, Store* store) {
  std::vector<SpokeRow> rows;
  for (auto& spoke : config.spokes) {
    SpokeRow row{&spoke, std::nullopt, syncKeyPath(spoke), ""};
    if (store != nullptr) row.contact = store->lastContact(spoke.name);
    if (!row.key.empty()) {
      auto blob = inspectKeyFile(row.key).publicBlob;
      if (!blob.empty()) row.fingerprint = fingerprint(blob);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace pibrain
