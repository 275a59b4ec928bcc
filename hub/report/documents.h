#pragma once
// The documents that commands print with --json, as in proto/report.capnp. A path that is not UTF-8
// has an exact form beside it.

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
  bool changes = false;  // whether each change is listed
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
  std::vector<std::string> sessions;  // paths, absolute or relative to the mirror
};
// Lists the sessions in these spokes' mirrors. `warn` receives what cannot be read.
std::vector<SessionsOfSpoke> listSessions(const std::vector<const SpokeConfig*>& spokes,
                                          bool fullPaths,
                                          const std::function<void(const std::string&)>& warn);
std::string sessionListJson(const std::vector<SessionsOfSpoke>& all);

// A row of `spoke list`: what is known of a spoke's agent, if it has one, and key.
struct SpokeRow {
  const SpokeConfig* spoke;
  std::optional<Store::Contact> contact;
  std::string key;          // the key's path; empty: unknown
  std::string fingerprint;  // the key's
};
std::string spokeListJson(const std::vector<SpokeRow>& rows);

}  // namespace pibrain
