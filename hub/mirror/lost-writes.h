#pragma once
// The mark of a run whose writes the disk lost, in the mirror's staging directory. The kernel's
// cache may have the right content of that run's files while the disk has wrong content, with the
// right size and time. So each of these files is fetched whole, and the mark stays until all are
// fetched or gone on the spoke.
//
// It holds their paths, each followed by a NUL. An empty path, a truncated one, or an empty mark
// means all files, because the affected ones are unknown.

#include <string>
#include <string_view>
#include <unordered_set>

namespace pibrain {

class LostWrites {
 public:
  static constexpr char NAME[] = "lost-writes";

  // Returns an empty set if the directory (-1: none) has no mark.
  static LostWrites readFrom(int stagingDirectory);
  // Writes the mark. If the disk cannot hold all of it, the mark means all files.
  void writeTo(int stagingDirectory) const;

  bool none() const { return !all_ && paths_.empty(); }
  bool concern(const std::string& path) const { return all_ || paths_.contains(path); }
  const std::unordered_set<std::string>& paths() const { return paths_; }

  void add(const std::string& path) { paths_.insert(path); }
  void addAll() { all_ = true; }
  // Called when a file was written again and is on the disk. Returns whether the mark had its path.
  bool remove(const std::string& path) { return paths_.erase(path) > 0; }
  // Called when all files but these were checked.
  void keepOnly(const std::unordered_set<std::string>& left);

 private:
  static LostWrites parse(std::string_view text);

  bool all_ = false;
  std::unordered_set<std::string> paths_;
};

}  // namespace pibrain
