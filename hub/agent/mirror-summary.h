#pragma once
// What the mirror has, as digests, and as the plan wants it.

#include <stdint.h>

#include <vector>

#include "common/text/exclusions.h"
#include "common/tree/tree.h"
#include "hub/agent/paths.h"

namespace pibrain {

// What the hub tells the spoke that it holds: its mirror without the kept files.
struct MirrorSummary {
  Digest tree;
  std::vector<uint64_t> digests;                    // of directories
  std::vector<const Tree::Directory*> directories;  // which ones these are
  int64_t newest = INT64_MIN;                       // the latest mtime of a file
  DigestOptions options;                            // what the digests are over
  bool remembersKept = true;  // else what is gone may have been so for long, and did not move now
  uint32_t maxSkipped = 5;    // how many of the entries that the spoke skips are to be named
  // What of the spoke's files is passed over, although it is listed; null: nothing.
  const Exclusions* leaveOut = nullptr;
  bool untilAtRest = false;   // it is to be walked until no directory changes meanwhile
};

// `kept` are the mirror's files that the spoke does not have, as far as is remembered. The mirror
// was walked with `options` for its digests. The result points into `mirror`.
MirrorSummary summarizeMirror(const Tree& mirror, const Paths& kept,
                              const DigestOptions& options = {});

}  // namespace pibrain
