#pragma once
// Which files of the mirror the spoke's new ones may be, under another path.

#include <stdint.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/tree/tree.h"
#include "hub/agent/plan.h"

namespace pibrain {

// The mirror's files, by path.
using FilesByPath = std::unordered_map<std::string, const Tree::File*>;

// Finds what created files may have been before: among the files that went with this run, in the
// order of likeliness. Time and memory are linear in the number of files, whatever their names are.
class MoveFinder {
 public:
  // Of the files that are gone on the spoke, those that are kept went with an earlier run.
  MoveFinder(const std::vector<GoneFile>& gone, const Paths& kept, const FilesByPath& files);

  struct Found {
    std::vector<std::string> candidates;  // paths, at most MAX_CANDIDATES
    uint32_t group = NO_MOVE_GROUP;       // of takeGroups(), if there are several that it may be
  };

  // Files with the same name and size, and the time `mtime`. To be asked for all files before
  // grown() is.
  Found exact(const RemoteFile& remote, int64_t mtime);

  // Files that may have grown since: where its directory was, or those of its name; no candidates
  // if these are too many.
  Found grown(const RemoteFile& remote);

  std::vector<MoveGroup> takeGroups() { return std::move(groups_); }

  static constexpr size_t MAX_CANDIDATES = 8;

 private:
  struct Equals {
    std::vector<std::string> paths;
    size_t next = 0;
    uint32_t group = NO_MOVE_GROUP;
  };

  // The group of these, which is made at the first call.
  uint32_t groupOf(Equals& equals, bool exact);
  void rememberDirectory(std::string_view to, std::string_view from);

  std::unordered_map<std::string, const Tree::File*> gone_;
  std::unordered_map<std::string, Equals> exact_;
  std::unordered_map<std::string, Equals> byName_;
  std::vector<MoveGroup> groups_;
  std::unordered_map<std::string, std::string> movedFrom_;  // of directories
  Paths taken_;                                             // what comes first for some file
};

}  // namespace pibrain
