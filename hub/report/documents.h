#pragma once
// What the commands print with --json, each as proto/report.capnp has it. Paths are as UTF-8, with
// an exact form beside those that are not.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/pass/diagnosis.h"
#include "hub/pass/spoke-change.h"
#include "hub/pass/spoke-report.h"
#include "hub/pass/verification.h"
#include "hub/report/status.h"

namespace pibrain {

struct RunDocument {
  bool ok = false, dryRun = false;
  bool changes = false;  // each of them is listed
};
std::string runJson(const std::vector<SpokeReport>& reports, const RunDocument& options);

std::string statusJson(const Config& config, const Status& status);

std::string historyJson(const std::vector<SpokeReport>& runs);

std::string doctorJson(const Diagnosis& hub, const std::vector<Diagnosis>& spokes, bool ok);

std::string archiveJson(const std::vector<ArchivedFile>& files);

std::string verifyJson(const std::vector<Verification>& results, bool ok);

std::string spokeChangesJson(const std::vector<SpokeChange>& changes, bool ok, bool dryRun);

struct SessionsOfSpoke {
  const SpokeConfig* spoke;
  std::vector<std::string> sessions;  // their paths
};
// Of these spokes' mirrors. `warn` hears of what cannot be read.
std::vector<SessionsOfSpoke> listSessions(const std::vector<const SpokeConfig*>& spokes,
                                          bool fullPaths,
                                          const std::function<void(const std::string&)>& warn);
std::string sessionListJson(const std::vector<SessionsOfSpoke>& all);

// A spoke, with what is known of its agent, if it has one, and its key.
struct SpokeRow {
  const SpokeConfig* spoke;
  std::optional<Store::Contact> contact;
  std::string key;          // empty: not known
  std::string fingerprint;  // of it
};
std::string spokeListJson(const std::vector<SpokeRow>& rows);

}  // namespace pibrain
