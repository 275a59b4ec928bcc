#pragma once
// Finds which of the mirror's files a new file on the spoke may be, under another path.

#include <stdint.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/tree/tree.h"
#include "hub/agent/plan.h"

namespace pibrain {

// The mirror's files by path.
using FilesByPath = std::unordered_map<std::string, const Tree::File*>;

// Finds candidates for created files among the files that are gone since the last run, the
// likeliest first. Time and memory are linear in the number of files, whatever their names are.
class MoveFinder {
 public:
  // `gone`: files that are gone on the spoke. Those in `kept` were gone before this run.
  MoveFinder(const std::vector<GoneFile>& gone, const Paths& kept, const FilesByPath& files);

  struct Found {
    std::vector<std::string> candidates;  // paths, at most MAX_CANDIDATES
    uint32_t group = NO_MOVE_GROUP;       // index in takeGroups(), if there are several candidates
  };

  // Returns files with the same name and size, and the time `mtime`. Must be called for all files
  // before grown().
  Found exact(const RemoteFile& remote, int64_t mtime);

  // Returns files that may have grown since: at the directory's old path, or with the same name; no
  // candidates if there are too many.
  Found grown(const RemoteFile& remote);

  std::vector<MoveGroup> takeGroups() { return std::move(groups_); }

  static constexpr size_t MAX_CANDIDATES = 8;

 private:
  struct Equals {
    std::vector<std::string> paths;
    size_t next = 0;
    uint32_t group = NO_MOVE_GROUP;
  };

  // Returns the group of these, and creates it at the first call.
  uint32_t groupOf(Equals& equals, bool exact);
  void rememberDirectory(std::string_view to, std::string_view from);

  std::unordered_map<std::string, const Tree::File*> gone_;
  std::unordered_map<std::string, Equals> exact_;
  std::unordered_map<std::string, Equals> byName_;
  std::vector<MoveGroup> groups_;
  std::unordered_map<std::string, std::string> movedFrom_;  // of directories
  Paths taken_;                                             // first candidates of some file
};

}  // namespace pibrain
