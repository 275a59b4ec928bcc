#pragma once

#include <stddef.h>
#include <stdint.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "hub/rsync/command.h"

namespace pibrain {

// The files of the spoke that rsync must not touch. The maps say why, by path.
struct OmittedFiles {
  std::map<std::string, std::string> folded;  // the mirror's filesystem takes the name for another
  std::map<std::string, std::string> unwritten;  // it could not be written
  std::set<std::string> waiting;                 // it failed in the last run: the others come first

  std::set<std::string> paths() const;
  size_t bytes() const;  // of the paths
};

// rsync for one spoke and its mirror, run as often as is needed.
class SpokeRsync {
 public:
  // Throws Failure if ssh does not know the host. All of these must outlive this.
  SpokeRsync(const SpokeConfig& spoke, const RunOptions& options, SpokeReport& report,
             Progress& progress);

  // Runs rsync without what is left out, with `more` options. `held` is a descriptor that rsync
  // inherits (-1: none). It writes to the directory `to`, or to the mirror if that is empty.
  RsyncRun run(const std::vector<std::string>& more, int held, const std::string& to = "");
  // Throws the run's failure, if it did not end well.
  void requireGood(const RsyncRun& ran) const;

  // Where rsync's own files are while it runs.
  std::string staging() const { return stagingOf(spoke_); }

  OmittedFiles leftOut;
  int64_t grain = 1;  // ns, of the mirror's times

 private:
  const SpokeConfig& spoke_;
  RsyncCommand command_;
};

// Whether rsync did all that it was asked, but for files that vanished meanwhile.
bool goodEnd(const RsyncRun& ran);

}  // namespace pibrain
