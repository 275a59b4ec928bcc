#pragma once
// The names that a mirror's directories really have. Where the filesystem takes two names for one,
// finding something by a name does not tell what it is called: only reading the directory does.
// Each is read once in a run, however many of its files are asked about; what the run itself
// changes has to be told.

#include <string>
#include <unordered_map>
#include <unordered_set>

namespace pibrain {

class DirectoryNames {
 public:
  using Names = std::unordered_set<std::string>;

  // Those in the directory `path`; null: it was not read yet.
  const Names* find(const std::string& path) const;
  // The same, read if need be from `fd`, on which it is open. Throws a KJ exception.
  const Names& read(const std::string& path, int fd);

  // A file or directory is there, or no longer there; a directory was empty then.
  void add(const std::string& path);
  void remove(const std::string& path);
  // What is in this directory has to be read again.
  void forget(const std::string& path) { directories_.erase(path); }
  void forgetAll() { directories_.clear(); }

 private:
  std::unordered_map<std::string, Names> directories_;
};

}  // namespace pibrain
