#pragma once
// One file that cannot be written ends rsync: then it must run again for the others.

#include <set>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/history/store.h"
#include "hub/rsync/spoke-rsync.h"

namespace pibrain {

class Unwritable {
 public:
  // `store` (null: none) knows what could not be written in the last run. All of these must outlive
  // this.
  Unwritable(const SpokeConfig& spoke, Store* store, SpokeRsync& rsync);

  // Runs rsync until all is written that can be; the others are in rsync.leftOut.unwritten then,
  // and remembered for the next run. What failed the last time waits until these are there.
  std::vector<RsyncRun> runForTheOthers(const std::vector<std::string>& options, int held);

  // What a person does for files that the mirror has no room for.
  const std::set<Remedy>& remedies() const { return remedies_; }

 private:
  std::vector<RsyncRun> runs(const std::vector<std::string>& options, int held);
  bool leaveOut(const Unwritten& unwritten, int held);
  void remember();

  const SpokeConfig& spoke_;
  Store* store_;
  SpokeRsync& rsync_;
  std::set<std::string> failedBefore_;
  std::set<Remedy> remedies_;
};

}  // namespace pibrain
