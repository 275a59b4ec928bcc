#pragma once

#include <kj/common.h>

#include <string>
#include <vector>

namespace pibrain {

// A temporary file of NUL-terminated names for rsync's --files-from with --from0. The destructor
// removes it.
class NameList {
 public:
  explicit NameList(const std::vector<std::string>& names);
  ~NameList();
  KJ_DISALLOW_COPY(NameList);

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace pibrain
