#pragma once

#include <stdint.h>

#include <string>
#include <unordered_map>

#include "hub/mirror/mirror.h"

namespace pibrain {

// What the mirror has before rsync changes it.
class MirrorBefore {
 public:
  // Reads the mirror, in place of what was read before.
  void read(Mirror& mirror);
  // Drops the contents of its files from the page cache: what is compared from now on is what the
  // disk has.
  void dropFromCache(Mirror& mirror) const;

  const Tree& tree() const { return tree_; }
  // Bytes of the files, by path.
  const std::unordered_map<std::string, uint64_t>& sizes() const { return sizes_; }
  // 0 if there is no such file.
  uint64_t sizeOf(const std::string& path) const;

 private:
  Tree tree_;
  std::unordered_map<std::string, uint64_t> sizes_;
};

}  // namespace pibrain
