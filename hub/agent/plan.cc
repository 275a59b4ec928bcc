#include "hub/agent/plan.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "common/fs/rooted-dir.h"
#include "hub/agent/move-finder.h"
#include "hub/agent/session-start.h"

namespace pibrain {

namespace {

void sortByAge(std::vector<PlannedFile>& files) {
  std::vector<std::pair<int64_t, size_t>> order;
  for (size_t i = 0; i < files.size(); ++i) {
    auto& remote = files[i].remote;
    order.emplace_back(sessionStart(baseNameOf(remote.path), remote.mtime / 1'000'000'000), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<PlannedFile> sorted;
  sorted.reserve(files.size());
  for (auto& [start, index] : order) sorted.push_back(std::move(files[index]));
  files = std::move(sorted);
}

// Returns the mirror's files that may differ from the spoke's: those in directories whose digests
// differ, and the kept ones.
FilesByPath mayDiffer(const Tree& mirror, const Paths& kept, const MirrorSummary& known,
                      const Listing& listing) {
  Paths affected(listing.directories.begin(), listing.directories.end());
  for (uint32_t index : listing.missingOnSpoke) affected.insert(known.directories[index]->path);
  auto keptIn = parentsOf(kept);
  FilesByPath files;
  for (auto& directory : mirror.directories) {
    bool all = affected.contains(directory.path);
    if (!all && !keptIn.contains(directory.path)) continue;
    for (auto& file : directory.files) {
      auto path = directory.pathOf(file);
      if (all || kept.contains(path)) files.emplace(std::move(path), &file);
    }
  }
  return files;
}

// Returns how the spoke's file differs from the mirror's file of the same path; nullopt: not at
// all.
std::optional<ChangeKind> changeOf(const RemoteFile& remote, const Tree::File& file,
                                   const DigestOptions& options) {
  bool sameMode =
      !options.modes || remote.mode == 0 || mirroredMode(remote.mode) == mirroredMode(file.mode);
  bool sameTime = file.mtime == options.times.stored(remote.mtime);
  if (file.size == remote.size && sameTime && sameMode) return std::nullopt;
  return remote.size > file.size    ? ChangeKind::GROW
         : remote.size == file.size ? ChangeKind::TOUCH
                                    : ChangeKind::REWRITE;
}

std::vector<GoneFile> findGone(const FilesByPath& files, const Listing& listing) {
  std::unordered_set<std::string_view> present;
  for (auto& remote : listing.listed) present.insert(remote.path);
  std::vector<GoneFile> gone;
  for (auto& [path, file] : files) {
    if (!present.contains(path)) gone.push_back({path, file->size, file->mtime});
  }
  std::sort(gone.begin(), gone.end());
  return gone;
}

// Plans the files that the mirror does not have: those that moved, and new ones.
void planCreated(Plan& plan, std::vector<const RemoteFile*> created, MoveFinder& moves,
                 const FilesByPath& files, const StoredTimes& times) {
  auto planMove = [&](const RemoteFile& remote, MoveFinder::Found found) {
    if (found.candidates.empty()) return false;
    auto size = files.at(found.candidates[0])->size;
    plan.files.push_back(
        {remote, ChangeKind::MOVE, "", size, std::move(found.candidates), found.group});
    return true;
  };
  // Exact matches of gone files come before files that may have grown.
  std::erase_if(created, [&](auto* remote) {
    return planMove(*remote, moves.exact(*remote, times.stored(remote->mtime)));
  });
  for (auto* remote : created) {
    auto found = moves.grown(*remote);
    if (planMove(*remote, found)) continue;
    plan.files.push_back({*remote, ChangeKind::NEW, "", 0, {}, found.group});
  }
  plan.moveGroups = moves.takeGroups();
}

}  // namespace

Plan makePlan(const Tree& mirror, const Paths& kept, const MirrorSummary& known,
              const Listing& listing) {
  Plan plan;
  plan.mirrorFiles = mirror.files;
  auto files = mayDiffer(mirror, kept, known, listing);
  std::vector<const RemoteFile*> created;
  for (auto& remote : listing.listed) {
    auto found = files.find(remote.path);
    if (found == files.end()) {
      created.push_back(&remote);
    } else if (auto kind = changeOf(remote, *found->second, known.options)) {
      plan.files.push_back({remote, *kind, remote.path, found->second->size, {}, NO_MOVE_GROUP});
    }
  }
  if (listing.complete) plan.gone = findGone(files, listing);
  plan.spokeFiles = mirror.files - plan.gone.size() + created.size();
  MoveFinder moves(known.remembersKept ? plan.gone : std::vector<GoneFile>(), kept, files);
  planCreated(plan, std::move(created), moves, files, known.options.times);
  sortByAge(plan.files);
  return plan;
}

void leaveAlone(Plan& plan, const Paths& directories) {
  if (directories.empty()) return;
  auto within = [&](const std::string& path) { return isWithin(path, directories); };
  std::erase_if(plan.files, [&](auto& file) {
    if (!within(file.remote.path)) return false;
    plan.leftAlone.insert(file.remote.path);
    return true;
  });
  std::erase_if(plan.gone, [&](auto& file) { return within(file.path); });
  for (auto& file : plan.files) {
    if (file.kind != ChangeKind::MOVE) continue;
    std::erase_if(file.candidates, within);
    if (!file.candidates.empty()) continue;
    file.kind = ChangeKind::NEW;
    file.basisSize = 0;
  }
}

Paths pathsOf(const MirrorSummary& known, const Listing& listing) {
  Paths paths;
  auto addDirectory = [&](std::string_view path) {
    while (!path.empty() && paths.emplace(path).second) path = parentOf(path);
  };
  for (auto& path : listing.directories) addDirectory(path);
  for (auto& [path, reason] : listing.problems) addDirectory(path);
  std::unordered_set<uint32_t> missingOnSpoke(listing.missingOnSpoke.begin(),
                                              listing.missingOnSpoke.end());
  for (uint32_t i = 0; i < known.directories.size(); ++i) {
    if (!missingOnSpoke.contains(i)) addDirectory(known.directories[i]->path);
  }
  for (auto& file : listing.listed) paths.insert(file.path);
  return paths;
}

}  // namespace pibrain
