#pragma once
// The content of the mirror, as digests and for the plan.

#include <stdint.h>

#include <vector>

#include "common/tree/tree.h"
#include "hub/agent/paths.h"

namespace pibrain {

// What the hub tells the spoke about its mirror, without the kept files.
struct MirrorSummary {
  Digest tree;
  std::vector<uint64_t> digests;                    // of directories
  std::vector<const Tree::Directory*> directories;  // the directory of each digest
  int64_t newest = INT64_MIN;                       // the latest mtime of a file
  DigestOptions options;                            // what the digests are over
  bool remembersKept =
      true;  // false: a file that is gone may have been gone for long, so it did not move now
  uint32_t maxSkipped = 5;   // how many skipped entries the spoke should name
  bool untilAtRest = false;  // the spoke should walk until no directory changes meanwhile
};

// `kept`: the mirror's files that the spoke does not have, as far as the history knows. `options`:
// those of the mirror's digests. The result points into `mirror`.
MirrorSummary summarizeMirror(const Tree& mirror, const Paths& kept,
                              const DigestOptions& options = {});

}  // namespace pibrain
