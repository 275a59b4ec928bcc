#include "hub/agent/move-finder.h"

#include <absl/strings/ascii.h>

#include <algorithm>

#include "common/fs/rooted-dir.h"

namespace pibrain {

namespace {

// Returns the name in lower case, since a move may change the case.
std::string nameOf(std::string_view path) {
  return absl::AsciiStrToLower(std::string(baseNameOf(path)));
}

std::string keyOf(std::string_view path, uint64_t size, int64_t mtime) {
  auto key = nameOf(path);
  key += '\0';
  key.append(reinterpret_cast<const char*>(&size), sizeof(size));
  key.append(reinterpret_cast<const char*>(&mtime), sizeof(mtime));
  return key;
}

}  // namespace

MoveFinder::MoveFinder(const std::vector<GoneFile>& gone, const Paths& kept,
                       const FilesByPath& files) {
  for (auto& [path, size, mtime] : gone) {
    if (kept.contains(path) || size == 0) continue;
    auto* file = files.at(path);
    gone_.emplace(path, file);
    exact_[keyOf(path, file->size, file->mtime)].paths.push_back(path);
    byName_[nameOf(path)].paths.push_back(path);
  }
}

uint32_t MoveFinder::groupOf(Equals& equals, bool exact) {
  if (equals.paths.size() > 1 && equals.group == NO_MOVE_GROUP) {
    equals.group = uint32_t(groups_.size());
    auto& group = groups_.emplace_back();
    group.exact = exact;
    for (auto& path : equals.paths) group.files.emplace_back(path, gone_.at(path)->size);
  }
  return equals.group;
}

MoveFinder::Found MoveFinder::exact(const RemoteFile& remote, int64_t mtime) {
  auto found = exact_.find(keyOf(remote.path, remote.size, mtime));
  if (found == exact_.end()) return {};
  auto& paths = found->second.paths;
  auto& next = found->second.next;
  std::vector<std::string> candidates;
  // Rotates equal files, so that each comes first once and most are found at the first try.
  for (size_t i = 0; i < std::min(paths.size(), MAX_CANDIDATES); ++i) {
    candidates.push_back(paths[(next + i) % paths.size()]);
  }
  ++next;
  taken_.insert(candidates[0]);
  // Among equal files it is not known yet which moved where.
  if (paths.size() == 1) rememberDirectory(remote.path, candidates[0]);
  return {std::move(candidates), groupOf(found->second, true)};
}

MoveFinder::Found MoveFinder::grown(const RemoteFile& remote) {
  std::vector<std::string> candidates;
  uint32_t group = NO_MOVE_GROUP;
  auto take = [&](const std::string& path) {
    auto found = gone_.find(path);
    if (found == gone_.end() || found->second->size > remote.size || taken_.contains(path)) return;
    candidates.push_back(path);
  };
  for (auto above = parentOf(remote.path);; above = parentOf(above)) {
    auto found = movedFrom_.find(std::string(above));
    if (found != movedFrom_.end()) {
      take(joinPath(found->second, remote.path.substr(above.empty() ? 0 : above.size() + 1)));
      break;
    }
    if (above.empty()) break;
  }
  if (candidates.empty()) {
    auto found = byName_.find(nameOf(remote.path));
    if (found != byName_.end()) {
      group = groupOf(found->second, false);
      if (found->second.paths.size() <= MAX_CANDIDATES) {
        for (auto& path : found->second.paths) take(path);
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [this](auto& a, auto& b) { return gone_.at(a)->size > gone_.at(b)->size; });
  }
  if (!candidates.empty()) taken_.insert(candidates[0]);
  return {std::move(candidates), group};
}

// Remembers renamed directories, since all of their files move too: the parts of both paths before
// the common suffix.
void MoveFinder::rememberDirectory(std::string_view to, std::string_view from) {
  while (!to.empty() && baseNameOf(to) == baseNameOf(from)) {
    to = parentOf(to);
    from = parentOf(from);
    if (!movedFrom_.emplace(to, from).second) return;
  }
}

}  // namespace pibrain
