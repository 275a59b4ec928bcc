#include "hub/agent/live-files.h"

namespace pibrain {

LiveFiles::File& LiveFiles::keep(const std::string& path, File file) {
  if (auto* known = find(path)) return *known = file;
  order_.emplace_front(path, file);
  byPath_[path] = order_.begin();
  if (order_.size() > MAX_FILES) forget(std::string(order_.back().first));
  return order_.front().second;
}

LiveFiles::File* LiveFiles::find(const std::string& path) {
  auto found = byPath_.find(path);
  if (found == byPath_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return &found->second->second;
}

void LiveFiles::forget(const std::string& path) {
  auto found = byPath_.find(path);
  if (found == byPath_.end()) return;
  order_.erase(found->second);
  byPath_.erase(found);
}

void LiveFiles::forgetIds() {
  for (auto& [path, file] : order_) file.id.reset();
}

}  // namespace pibrain
