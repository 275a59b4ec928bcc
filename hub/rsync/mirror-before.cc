#include "hub/rsync/mirror-before.h"

namespace pibrain {

void MirrorBefore::read(Mirror& mirror) {
  tree_ = mirror.walk();
  sizes_.clear();
  for (auto& directory : tree_.directories) {
    for (auto& file : directory.files) sizes_.emplace(directory.pathOf(file), file.size);
  }
}

void MirrorBefore::dropFromCache(Mirror& mirror) const {
  for (auto& [path, size] : sizes_) {
    KJ_IF_MAYBE(file, mirror.openFile(path)) mirror.readFromDisk(*file);
  }
}

uint64_t MirrorBefore::sizeOf(const std::string& path) const {
  auto found = sizes_.find(path);
  return found == sizes_.end() ? 0 : found->second;
}

}  // namespace pibrain
