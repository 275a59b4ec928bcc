#pragma once
// What a run has to do: the spoke's listing against the mirror.

#include <stdint.h>

#include <string>
#include <unordered_set>
#include <vector>

#include "common/tree-walk.h"
#include "hub/report.h"
#include "hub/sync/listing.h"

namespace pibrain {

struct PlannedFile {
  RemoteFile remote;
  ChangeKind kind;    // a guess for GROW and REWRITE, until the contents have been compared
  std::string basis;  // the mirror's file to start from: the same path, or a MOVE's old one
  uint64_t basisSize = 0;
};

// A file of the mirror that the spoke does not have.
struct GoneFile {
  std::string path;
  uint64_t size = 0;

  auto operator<=>(const GoneFile&) const = default;
};

struct Plan {
  std::vector<PlannedFile> files;  // oldest first, so that parents come before their forks
  std::vector<GoneFile> gone;      // sorted by path
  uint32_t mirrorFiles = 0;
  uint64_t spokeFiles = 0;  // counted, not what the spoke says; of no use unless it listed all
};

using Paths = std::unordered_set<std::string>;

// `kept` are the mirror's files that the spoke does not have, as far as is remembered. The result
// points into `mirror`.
Known describeMirror(const Tree& mirror, const Paths& kept);

// Compares. Unless the listing is complete, nothing is gone and nothing was moved.
Plan makePlan(const Tree& mirror, const Paths& kept, const Known& known, const Listing& listing);

// When the session in a file of this name began, in seconds since the epoch, as pi writes it into
// names (2026-01-31T12-00-00-000Z_…); `otherwise` if the name does not say.
int64_t sessionStart(std::string_view name, int64_t otherwise);

}  // namespace pibrain
