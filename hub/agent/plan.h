#pragma once
// What a run has to do: the spoke's listing against the mirror.

#include <stdint.h>

#include <string>
#include <unordered_set>
#include <vector>

#include "common/tree/tree-walk.h"
#include "hub/agent/listing.h"
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

using Paths = std::unordered_set<std::string>;

struct Plan {
  std::vector<PlannedFile> files;  // oldest first, so that parents come before their forks
  std::vector<GoneFile> gone;      // sorted by path
  std::vector<MoveGroup> moveGroups;
  Paths leftAlone;  // files that leaveAlone() took out
  uint32_t mirrorFiles = 0;
  uint64_t spokeFiles = 0;  // counted, not what the spoke says; of no use unless it listed all
};

// `kept` are the mirror's files that the spoke does not have, as far as is remembered. The mirror
// was walked with `options` for its digests. The result points into `mirror`.
MirrorSummary summarizeMirror(const Tree& mirror, const Paths& kept,
                              const DigestOptions& options = {});

// Compares. Unless the listing is complete, nothing is gone and nothing was moved. A file that
// moved is one that the spoke still had at the last run: what is kept stays where it is.
Plan makePlan(const Tree& mirror, const Paths& kept, const MirrorSummary& known,
              const Listing& listing);

// Whether it is one of these directories, or beneath one.
bool isWithin(std::string_view path, const Paths& directories);

// Takes out what would change something within these directories of the mirror.
void leaveAlone(Plan& plan, const Paths& directories);

// The paths that the spoke has, of files that it listed and of all directories that hold files or
// could not be read.
Paths pathsOf(const MirrorSummary& known, const Listing& listing);

// What is gone by both listings, the second of which was begun after the first ended; `plan` was
// made of the first, and of that the files `fetched` are in the mirror by now. Nothing if the
// spoke's directories did not rest meanwhile. Without what the spoke may have:
// - but skips: a symlink to a directory, say, stands for all that the mirror has beneath its path;
// - or under another name that the mirror has not yet.
std::vector<GoneFile> goneTwice(const Plan& plan, const Tree& mirror, const Paths& kept,
                                const MirrorSummary& known, const Listing& second,
                                const Paths& fetched = {});

// When the session in a file of this name began, in seconds since the epoch, as pi writes it into
// names (2026-01-31T12-00-00-000Z_…); `otherwise` if the name does not say.
int64_t sessionStart(std::string_view name, int64_t otherwise);

}  // namespace pibrain
