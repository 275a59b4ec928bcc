#pragma once
// The mark of a run whose writes the disk did not take, in the mirror's staging directory. What the
// kernel's cache has of the files that it wrote may be right, and what the disk has wrong, with
// size and time as they should be. So these are fetched whole, however long that takes: the mark
// goes when each of them was, or is gone on the spoke.
//
// It holds their paths, each with a NUL at its end. An empty path, or one that is cut short, stands
// for all files: which ones they are is not known. So does a mark that holds nothing.

#include <string>
#include <string_view>
#include <unordered_set>

namespace pibrain {

class LostWrites {
 public:
  static constexpr char NAME[] = "lost-writes";

  // None if there is no mark in the directory (-1: nor is that).
  static LostWrites readFrom(int stagingDirectory);
  // As far as the disk takes it: what it does not, leaves a mark that stands for all files.
  void writeTo(int stagingDirectory) const;

  bool none() const { return !all_ && paths_.empty(); }
  bool concern(const std::string& path) const { return all_ || paths_.contains(path); }
  const std::unordered_set<std::string>& paths() const { return paths_; }

  void add(const std::string& path) { paths_.insert(path); }
  void addAll() { all_ = true; }
  // It was written again, and is on the disk. Whether it was one that is known by its path.
  bool remove(const std::string& path) { return paths_.erase(path) > 0; }
  // All were looked at but these.
  void keepOnly(const std::unordered_set<std::string>& left);

 private:
  static LostWrites parse(std::string_view text);

  bool all_ = false;
  std::unordered_set<std::string> paths_;
};

}  // namespace pibrain
