#pragma once

#include <stdint.h>

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "hub/base/failure.h"
#include "hub/pass/options.h"
#include "hub/rsync/mirror-before.h"
#include "hub/rsync/spoke-names.h"
#include "hub/rsync/spoke-rsync.h"

namespace pibrain {

// Which of the mirror's files are gone on the spoke.
struct GoneFiles {
  std::vector<std::string> paths;
  std::optional<Failure> refusal;  // why none of them may go (P5)
  bool restless = false;  // files came, went or were renamed meanwhile: a later run sees it
};

class GoneSearch {
 public:
  // All of these must outlive this.
  GoneSearch(const SpokeConfig& spoke, const RunOptions& options, const MirrorBefore& before,
             const SpokeNames& names, SpokeRsync& rsync);

  // rsync's options for a look at what is gone.
  std::vector<std::string> lookOptions() const;

  // What the spoke did not have at two looks, of which the second begins when the `first` has
  // ended, nor has by name: in a look alone a file may be missing that moved, or was replaced,
  // meanwhile. `held` is as for SpokeRsync::run(); the mirror has `mirrored` files.
  GoneFiles find(const RsyncRun& first, int held, uint64_t mirrored);

 private:
  std::vector<std::string> goneAt(const RsyncRun& look, uint64_t mirrored,
                                  std::optional<Failure>& refusal) const;
  std::unordered_set<std::string> thereByName(const std::vector<std::string>& paths, int held,
                                              std::optional<Failure>& refusal);
  bool mayBeOnSpoke(const std::string& path) const;

  const SpokeConfig& spoke_;
  const RunOptions& options_;
  const MirrorBefore& before_;
  const SpokeNames& names_;
  SpokeRsync& rsync_;
};

}  // namespace pibrain
