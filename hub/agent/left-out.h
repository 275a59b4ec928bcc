#pragma once
// What the hub leaves out of a spoke's tree by its own config (`exclude`). The agent does not know
// this, so its digests cover these files too. For each directory that has any, the hub remembers
// the spoke's digest beside its own. While both stay the same, a run costs nothing.

#include <deque>
#include <map>
#include <string>

#include "common/text/exclusions.h"
#include "common/tree/tree.h"
#include "hub/agent/listing.h"
#include "hub/agent/mirror-summary.h"
#include "hub/agent/paths.h"
#include "hub/config/config.h"
#include "hub/history/store.h"

namespace pibrain {

class LeftOut {
 public:
  // `store`: null: nothing is remembered.
  LeftOut(const SpokeConfig& spoke, Store* store);

  const Exclusions& exclusions() const { return exclusions_; }

  // Returns the mirror's files that are left out now. They were mirrored before, and stay.
  Paths inMirror(const Tree& mirror) const;
  // Replaces the digests in `known` by the spoke's, where those are remembered. This object must
  // outlive `known`.
  void addTo(MirrorSummary& known);
  // Remembers what the listing, from a scan with `known`, says. What cannot be remembered costs
  // another listing.
  void remember(const MirrorSummary& known, const Listing& listing);

 private:
  struct Digests {
    uint64_t ours, theirs;
    bool operator==(const Digests&) const = default;
  };
  using ByPath = std::map<std::string, Digests>;

  static ByPath digestsOf(const Listing& listing, const DigestOptions& options);

  const SpokeConfig& spoke_;
  Store* const store_;
  const Exclusions exclusions_;
  ByPath before_;
  std::map<std::string, uint32_t>
      told_;  // paths whose digest addTo() replaced, and their index in `known`
  std::deque<Tree::Directory> empty_;  // directories of which all files are left out
};

}  // namespace pibrain
