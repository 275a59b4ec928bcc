#pragma once
// Knows the real names of the entries of a mirror's directories. Where the filesystem treats two
// names as one, opening a file does not tell what it is called; only reading the directory does.
// Each directory is read once in a run, so the run must report its own changes.

#include <string>
#include <unordered_map>
#include <unordered_set>

namespace pibrain {

class DirectoryNames {
 public:
  using Names = std::unordered_set<std::string>;

  // Returns the names in the directory `path`; null: not read yet.
  const Names* find(const std::string& path) const;
  // The same, and reads the directory from `fd` if necessary. Throws a KJ exception.
  const Names& read(const std::string& path, int fd);

  // Called when a file or an empty directory was added or removed.
  void add(const std::string& path);
  void remove(const std::string& path);
  // Called when this directory must be read again.
  void forget(const std::string& path) { directories_.erase(path); }
  void forgetAll() { directories_.clear(); }

 private:
  std::unordered_map<std::string, Names> directories_;
};

}  // namespace pibrain
