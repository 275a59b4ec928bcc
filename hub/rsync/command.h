#pragma once

#include <stdint.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"
#include "hub/rsync/process.h"
#include "hub/ssh/host-trust.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Returns the path as a pattern for rsync's filters.
std::string filterFor(const std::string& path);

// Returns the directory for rsync's own files while it runs.
std::string stagingOf(const SpokeConfig& spoke);

// rsync's command line for a spoke: source, options, and the ssh command.
class RsyncCommand {
 public:
  // The terms of one run.
  struct Terms {
    std::set<std::string> leftOut;  // paths
    int64_t grain;                  // the grain of the mirror's times, in ns
    int held;                       // a descriptor that rsync inherits; -1: none
  };

  // Throws Failure if the ssh configuration cannot be read. All arguments must outlive this.
  RsyncCommand(const SpokeConfig& spoke, const RunOptions& options, SpokeReport& report,
               Progress& progress);

  // Runs rsync with the destination `to`, and `more` options after the usual ones. Retries if the
  // server turns the login away. Adds the bytes on the wire and new host keys to the report.
  RsyncRun run(const std::vector<std::string>& more, const Terms& terms, const std::string& to);

  // Returns null if the source is on this machine.
  const SshTarget* target() const { return target_ ? &*target_ : nullptr; }

 private:
  std::optional<SshTarget> findTarget() const;
  std::string remoteShell() const;
  std::vector<std::string> arguments(const std::vector<std::string>& more, const Terms& terms,
                                     const std::string& to) const;
  std::string source() const;
  void warnOfNewKey(const RsyncRun& ran);

  const SpokeConfig& spoke_;
  const RunOptions& options_;
  SpokeReport& report_;
  Progress& progress_;
  const std::optional<SshTarget> target_;
  const KnownTarget known_;  // before rsync ran
  bool warnedOfKey_ = false;
  const std::string shell_;  // empty: the source is on this machine
};

}  // namespace pibrain
