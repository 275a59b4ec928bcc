#pragma once
// What rsync's list of items means: for the report of a run, and for a verification.

#include <string>
#include <unordered_set>

#include "hub/pass/spoke-report.h"
#include "hub/pass/verification.h"
#include "hub/rsync/mirror-before.h"
#include "hub/rsync/spoke-rsync.h"

namespace pibrain {

// Adds what was changed, or would be, to the report.
class ReportedChanges {
 public:
  // Both must outlive this.
  ReportedChanges(const MirrorBefore& before, SpokeReport& report);

  // Adds what rsync changed. `rewritten` are the files whose old versions are in the archive now.
  void add(const RsyncRun& ran, const OmittedFiles& leftOut,
           const std::unordered_set<std::string>& rewritten);
  void addDeleted(const std::string& path);

 private:
  const MirrorBefore& before_;
  SpokeReport& report_;
  std::unordered_set<std::string> added_;
};

// Warns of what rsync did not mirror.
void noteUnmirrored(const RsyncRun& ran, SpokeReport& report);

// Adds how the mirror differs, by a look with --checksum. Sorted by path.
void addDifferences(const RsyncOutput& look, const MirrorBefore& before, Verification& result);

}  // namespace pibrain
