#pragma once
// Walking a directory tree.

#include <string_view>

#include "common/text/exclusions.h"
#include "common/tree/tree.h"

namespace pibrain {

struct WalkOptions {
  // A name directly beneath the root that is passed over, if not empty.
  std::string_view skip;
  // What these match is as if it were not there, without a word of it. Null: there are none.
  const Exclusions* exclusions = nullptr;
  DigestOptions digests;
};

// Walks the tree beneath the directory `root` (not owned), in a few threads if it is large;
// symlinks are not followed. What cannot be read is a problem of the result; the walk goes on. A
// directory that changes while it is read is read again, and one that goes away may have another
// name now: then all is walked again; both a few times, until it settles. Computes the directories'
// digests.
Tree walkTree(int root, const WalkOptions& options = {});

// Whether no directory changed between two walks, the second of which began after the first ended:
// then both show the tree as it was at one instant.
bool agree(const Tree::Stamps& first, const Tree::Stamps& second);

}  // namespace pibrain
