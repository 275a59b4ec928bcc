#pragma once
// What the hub leaves out of a spoke's tree by its own config (`exclude`). The agent does not know
// of it, so its digests are over these files too: of a directory that has any, the hub remembers
// what the spoke's digest is when its own is what it is. While both stay the same, a run costs
// nothing.

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
  // `store`: null if nothing is remembered.
  LeftOut(const SpokeConfig& spoke, Store* store);

  const Exclusions& exclusions() const { return exclusions_; }

  // Those of the mirror's files that are left out: they came before they were, and stay.
  Paths inMirror(const Tree& mirror) const;
  // What is said to be known becomes what the spoke has, as far as that is remembered. This has to
  // stay while `known` does.
  void addTo(MirrorSummary& known);
  // Remembers what the listing, which came of a scan with `known`, says. What cannot be remembered
  // costs a listing.
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
  std::map<std::string, uint32_t> told_;  // of these, the index in what is known
  std::deque<Tree::Directory> empty_;     // of which all is left out
};

}  // namespace pibrain
