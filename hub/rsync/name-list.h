#pragma once

#include <kj/common.h>

#include <string>
#include <vector>

namespace pibrain {

// Names in a temporary file for rsync's --files-from with --from0: each with a NUL after it. It
// goes with this.
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
