#pragma once
// What a run has to do: the spoke's listing against the mirror.

#include <stdint.h>

#include <string>
#include <vector>

#include "common/tree/tree.h"
#include "hub/agent/listing.h"
#include "hub/agent/mirror-summary.h"
#include "hub/agent/paths.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

constexpr uint32_t NO_MOVE_GROUP = UINT32_MAX;

struct PlannedFile {
  RemoteFile remote;
  ChangeKind kind;    // a guess for GROW and REWRITE, until the contents have been compared
  std::string basis;  // the mirror's file to start from: the same path; empty: a MOVE's, or none
  uint64_t basisSize = 0;
  // MOVE: what it may have been, the likeliest first. Its content tells.
  std::vector<std::string> candidates;
  // If there are several: in Plan::moveGroups. Then the candidates are some of these.
  uint32_t moveGroup = NO_MOVE_GROUP;
};

// Files that went, of which some created ones may be any.
struct MoveGroup {
  bool exact = false;                                   // they have the same size and time, too
  std::vector<std::pair<std::string, uint64_t>> files;  // paths and sizes
};

// A file of the mirror that the spoke does not have.
struct GoneFile {
  std::string path;
  uint64_t size = 0;
  int64_t mtime = 0;

  auto operator<=>(const GoneFile&) const = default;
};

struct Plan {
  std::vector<PlannedFile> files;  // oldest first, so that parents come before their forks
  std::vector<GoneFile> gone;      // sorted by path
  std::vector<MoveGroup> moveGroups;
  Paths leftAlone;  // files that leaveAlone() took out
  uint32_t mirrorFiles = 0;
  uint64_t spokeFiles = 0;  // counted, not what the spoke says; of no use unless it listed all
};

// Compares. `kept` are the mirror's files that the spoke does not have, as far as is remembered.
// Unless the listing is complete, nothing is gone and nothing was moved. A file that
// moved is one that the spoke still had at the last run: what is kept stays where it is.
Plan makePlan(const Tree& mirror, const Paths& kept, const MirrorSummary& known,
              const Listing& listing);

// Takes out what would change something within these directories of the mirror.
void leaveAlone(Plan& plan, const Paths& directories);

// The paths that the spoke has, of files that it listed and of all directories that hold files or
// could not be read.
Paths pathsOf(const MirrorSummary& known, const Listing& listing);

}  // namespace pibrain
