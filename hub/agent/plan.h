#pragma once
// The plan of a run: the differences between the spoke's listing and the mirror.

#include <stdint.h>

#include <memory>
#include <string>
#include <vector>

#include "common/tree/tree.h"
#include "hub/agent/listing.h"
#include "hub/agent/live-files.h"
#include "hub/agent/mirror-summary.h"
#include "hub/agent/paths.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

constexpr uint32_t NO_MOVE_GROUP = UINT32_MAX;

struct PlannedFile {
  RemoteFile remote;
  ChangeKind kind;    // a guess for GROW and REWRITE, until the contents have been compared
  std::string basis;  // the mirror's file to start from: the same path; empty: a MOVE, or none
  uint64_t basisSize = 0;
  // MOVE: the files that it may have been, the likeliest first. Only the content proves it.
  std::vector<std::string> candidates;
  // Index in Plan::moveGroups, if there are several; the candidates are some of that group.
  uint32_t moveGroup = NO_MOVE_GROUP;
  // What is known of the basis, so that neither side reads it again; null: nothing.
  std::shared_ptr<const LiveFile> live = nullptr;
};

// Files that are gone, any of which may be one of several created files.
struct MoveGroup {
  bool exact = false;                                   // they have the same size and time too
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
  std::vector<PlannedFile> files;  // the oldest first, so that parents come before their forks
  std::vector<GoneFile> gone;      // sorted by path
  std::vector<MoveGroup> moveGroups;
  Paths leftAlone;  // files that leaveAlone() removed from the plan
  uint32_t mirrorFiles = 0;
  uint64_t spokeFiles = 0;  // counted by the hub; useless unless the spoke listed everything
};

// Compares. `kept`: the mirror's files that the spoke does not have, as far as the history knows.
// If the listing is not complete, no file counts as gone or moved. Only files that the spoke still
// had at the last run can have moved; kept files stay where they are.
Plan makePlan(const Tree& mirror, const Paths& kept, const MirrorSummary& known,
              const Listing& listing);

// Removes from the plan what would change anything in these directories of the mirror.
void leaveAlone(Plan& plan, const Paths& directories);

// Returns the paths that the spoke has: of listed files, and of directories that contain files or
// could not be read.
Paths pathsOf(const MirrorSummary& known, const Listing& listing);

}  // namespace pibrain
