#pragma once
// For a mirror whose filesystem takes different names for one: which of the spoke's paths are so.

#include <kj/io.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace pibrain {

// Which names of one directory the filesystem takes for one: for each name that is another's, that
// one. What comes first keeps its name.
using FoldNames =
    std::function<std::map<std::string, std::string>(const std::vector<std::string>&)>;

// By trying to make files of these names in the directory `fd`, which are removed again, unless
// they are all ASCII: then they are compared without case. -1: these alone are compared.
std::map<std::string, std::string> foldedNames(const std::vector<std::string>& names, int fd);

// A directory to try names in, beneath one that is made if it is missing; both go with this.
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

// A path in the spelling by which ASCII names are compared.
std::string folded(const std::string& path);
bool isAscii(const std::string& path);

struct Folding {
  // Paths of the spoke that cannot be in the mirror, and whose place in it is taken by which.
  std::map<std::string, std::string> refused;
  // What the mirror has under another spelling: its path there, and the spoke's.
  std::map<std::string, std::string> respelled;
};

// `spoke` and `mirror` are the files of both; a directory is where a file is. A name that the
// mirror has comes before one that it has not.
Folding findFolding(const std::set<std::string>& spoke, const std::set<std::string>& mirror,
                    const FoldNames& fold);

}  // namespace pibrain
