#pragma once
// Finds which of the spoke's paths collide on a filesystem that treats different names as one.

#include <kj/io.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace pibrain {

// Finds colliding names in one directory: maps each name to the earlier one that the filesystem
// treats as the same.
using FoldNames =
    std::function<std::map<std::string, std::string>(const std::vector<std::string>&)>;

// Creates files with these names in the directory `fd` and removes them again, unless all are
// ASCII: then compares them without case. `fd` -1: compares ASCII names only.
std::map<std::string, std::string> foldedNames(const std::vector<std::string>& names, int fd);

// A directory for testing names, in one that is created if missing; the destructor removes both.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::string& above);
  ~ScratchDirectory();
  KJ_DISALLOW_COPY(ScratchDirectory);

  int fd() const { return fd_; }

 private:
  const std::string above_;
  bool made_ = false;
  kj::AutoCloseFd fd_;
};

// Returns the path in the spelling in which ASCII names are compared.
std::string folded(const std::string& path);
bool isAscii(const std::string& path);

struct Folding {
  // Paths of the spoke that cannot be in the mirror, and the path that takes their place.
  std::map<std::string, std::string> refused;
  // Paths that the mirror spells differently: its path, and the spoke's.
  std::map<std::string, std::string> respelled;
};

// `spoke`, `mirror`: the files of both; directories follow from them. Names that the mirror has
// take precedence.
Folding findFolding(const std::set<std::string>& spoke, const std::set<std::string>& mirror,
                    const FoldNames& fold);

}  // namespace pibrain
