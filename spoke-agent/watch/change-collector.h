#pragma once
// Collects which files of a tree change. Events are hints (P9): whatever they might miss, a look at
// everything finds.

#include <stdint.h>

#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "spoke-agent/tree/tree-source.h"
#include "spoke-agent/watch/marks.h"

namespace pibrain {

class ChangeCollector : private Marks::Sink {
 public:
  // Both must outlive this.
  ChangeCollector(TreeSource& root, Marks& marks) : root_(root), marks_(marks) {}

  // From now on, ids are those of `tree`. Marks all directories, walks, and notes what changed
  // since that tree was made.
  void begin(std::shared_ptr<const Tree> tree);

  // Takes the kernel's events.
  void drain();
  // Walks again, and notes what changed.
  void lookAtAll();
  // Looks at the files that changed in the last minutes, in directories without marks.
  void lookAtHot();

  // How directories are watched.
  struct Mode {
    uint32_t watched = 0, polled = 0;
    Marks::Refusal why = Marks::Refusal::NONE;
    bool operator==(const Mode&) const = default;
  };
  const Mode& mode() const { return mode_; }

  // Returns whether files came or went, or events were lost: only a scan can tell what there is
  // now.
  bool needsScan() const { return structure_ || missed_; }
  bool hasMissed() const { return missed_; }
  void scanRequested() { structure_ = missed_ = false; }

  bool hasFiles() const { return !files_.empty(); }
  // Returns the ids of files that changed, each once, and forgets them.
  std::vector<uint32_t> takeFiles();
  // Notes that the file changed.
  void note(uint32_t file);

 private:
  struct Seen {
    uint64_t size = 0;
    int64_t mtime = INT64_MIN;
    bool operator==(const Seen&) const = default;
  };

  void changed(const std::string& directory, std::string_view name, Change change,
               bool isDirectory) override;
  // A session that came after the tree: whoever waits for it need not wait for a scan. Of all other
  // files, a scan tells.
  void include(const std::string& path);
  // Marks a directory that came after the tree, and those in it. Returns what there is.
  Tree markBelow(const std::string& directory);
  void includeAll(const std::string& directory, const Tree& inside);
  void missed() override { missed_ = true; }
  Tree walk();
  void preferNewest(const Tree& tree);
  void compare(const Tree& now);
  // Files of a walk that are not in the tree.
  using Came = std::vector<std::pair<const Tree::Directory*, const Tree::File*>>;
  // Returns whether a file is gone.
  bool compareFiles(const Tree::Directory& then, const Tree::Directory& now, Came& came);
  // Notes the file if it is not as it was when it was looked at last, or `then`.
  void compare(uint32_t id, const Seen& then, const Seen& now);
  // Looks at files that came after the tree, of which there are no others.
  void look(const Came& came);
  // Looks at the file, unless it last changed before `since`, in ns since the epoch. Returns
  // whether it looked.
  bool lookAt(uint32_t id, const Seen& then, int64_t since);

  TreeSource& root_;
  Marks& marks_;
  std::shared_ptr<const Tree> tree_;
  Mode mode_;
  bool structure_ = false, missed_ = false;
  std::unordered_set<uint32_t> files_;
  std::unordered_map<uint32_t, Seen> seen_;  // of files that changed since the tree was made
  std::set<uint32_t> included_;              // by the last walk
};

}  // namespace pibrain
