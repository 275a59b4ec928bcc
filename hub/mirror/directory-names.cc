#include "hub/mirror/directory-names.h"

#include "common/fs/rooted-dir.h"

namespace pibrain {

const DirectoryNames::Names* DirectoryNames::find(const std::string& path) const {
  auto found = directories_.find(path);
  return found == directories_.end() ? nullptr : &found->second;
}

const DirectoryNames::Names& DirectoryNames::read(const std::string& path, int fd) {
  if (auto* names = find(path)) return *names;
  auto names = namesIn(fd);
  return directories_.emplace(path, Names(names.begin(), names.end())).first->second;
}

void DirectoryNames::add(const std::string& path) {
  if (directories_.empty()) return;
  auto found = directories_.find(std::string(parentOf(path)));
  if (found != directories_.end()) found->second.emplace(baseNameOf(path));
}

void DirectoryNames::remove(const std::string& path) {
  if (directories_.empty()) return;
  auto found = directories_.find(std::string(parentOf(path)));
  if (found != directories_.end()) found->second.erase(std::string(baseNameOf(path)));
  directories_.erase(path);
}

}  // namespace pibrain
