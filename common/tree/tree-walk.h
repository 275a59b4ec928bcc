#pragma once
// Walking a directory tree.

#include <functional>
#include <string>
#include <string_view>

#include "common/text/exclusions.h"
#include "common/tree/tree.h"

namespace pibrain {

struct WalkOptions {
  // A name directly beneath the root to leave out; empty: none.
  std::string_view skip;
  // The walk passes over what these match, and reports nothing about it. Null: none.
  const Exclusions* exclusions = nullptr;
  // The path of the walk's root, as the exclusions see it.
  std::string path;
  DigestOptions digests;
  // Called for each directory when it is open and before it is read; may be called by several
  // threads at once. Null: none.
  std::function<void(int directory, const std::string& path)> entered;
};

// Returns the tree beneath the directory `root` (not owned), with the directories' digests. Uses a
// few threads if the tree is large, and follows no symlinks. What cannot be read becomes a problem
// in the result, and the walk goes on. A directory that changes while it is read is read again. One
// that vanishes may have been renamed, so the whole tree is walked again. Both happen a few times
// at most.
Tree walkTree(int root, const WalkOptions& options = {});

// Returns whether no directory changed between two walks, of which the second began after the first
// ended. If so, both show the tree as it was at one instant.
bool agree(const Tree::Stamps& first, const Tree::Stamps& second);

}  // namespace pibrain
