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

// A path as rsync's filters take it.
std::string filterFor(const std::string& path);

// Where rsync's own files are while it runs.
std::string stagingOf(const SpokeConfig& spoke);

// rsync's command line for a spoke: its source, its options, and ssh as rsync is to start it.
class RsyncCommand {
 public:
  // What is asked of one run.
  struct Terms {
    std::set<std::string> leftOut;  // paths
    int64_t grain;                  // ns, of the mirror's times
    int held;                       // a descriptor that rsync inherits; -1: none
  };

  // Throws Failure if ssh does not know the host. All of these have to outlive this.
  RsyncCommand(const SpokeConfig& spoke, const RunOptions& options, SpokeReport& report,
               Progress& progress);

  // Runs rsync to the directory `to`, with `more` options after the usual ones. A server that turns
  // the login away is tried again. The report gets the bytes on the wire and new host keys.
  RsyncRun run(const std::vector<std::string>& more, const Terms& terms, const std::string& to);

  // Null: the source is on this machine.
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
  const KnownTarget known_;  // of it, before rsync was run
  bool warnedOfKey_ = false;
  const std::string shell_;  // empty: the source is on this machine
};

}  // namespace pibrain
