#include "hub/agent/left-out.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "common/fs/rooted-dir.h"

namespace pibrain {

namespace {

// Returns 0 for no files.
uint64_t digestOfFiles(const std::string& path, std::vector<const RemoteFile*> files,
                       const DigestOptions& options) {
  if (files.empty()) return 0;
  std::sort(files.begin(), files.end(),
            [](auto* a, auto* b) { return baseNameOf(a->path) < baseNameOf(b->path); });
  Tree::Directory directory;
  directory.path = path;
  for (auto* file : files) {
    auto name = baseNameOf(file->path);
    directory.files.push_back({file->size, file->mtime, uint32_t(directory.names.size()),
                               uint16_t(name.size()), file->mode});
    directory.names += name;
  }
  return digestOf(directory, options);
}

}  // namespace

LeftOut::LeftOut(const SpokeConfig& spoke, Store* store)
    : spoke_(spoke), store_(store), exclusions_(spoke.exclude) {
  if (store == nullptr || exclusions_.empty()) return;
  auto remembered = store->leftOut(spoke.name, spoke.exclude);
  if (!remembered.ok()) return;
  for (auto& [path, ours, theirs] : *remembered) before_[path] = {ours, theirs};
}

Paths LeftOut::inMirror(const Tree& mirror) const {
  Paths paths;
  if (exclusions_.empty()) return paths;
  for (auto& directory : mirror.directories) {
    for (auto& file : directory.files) {
      auto path = directory.pathOf(file);
      if (exclusions_.coverFile(path)) paths.insert(std::move(path));
    }
  }
  return paths;
}

void LeftOut::addTo(MirrorSummary& known) {
  if (exclusions_.empty()) return;
  known.leaveOut = &exclusions_;
  told_.clear();
  empty_.clear();
  std::unordered_set<std::string> ours;
  for (uint32_t i = 0; i < known.directories.size(); ++i) {
    auto& path = known.directories[i]->path;
    ours.insert(path);
    auto found = before_.find(path);
    if (found == before_.end() || found->second.ours != known.digests[i]) continue;
    known.digests[i] = found->second.theirs;
    told_[path] = i;
  }
  for (auto& [path, digests] : before_) {
    if (digests.ours != 0 || ours.contains(path)) continue;
    auto& directory = empty_.emplace_back();
    directory.path = path;
    told_[path] = uint32_t(known.digests.size());
    known.digests.push_back(digests.theirs);
    known.directories.push_back(&directory);
  }
  known.tree = treeDigest(known.digests);
}

LeftOut::ByPath LeftOut::digestsOf(const Listing& listing, const DigestOptions& options) {
  struct Files {
    std::vector<const RemoteFile*> synced, all;
  };
  std::map<std::string, Files> directories;
  for (auto& file : listing.leftOut) {
    directories[std::string(parentOf(file.path))].all.push_back(&file);
  }
  for (auto& file : listing.listed) {
    auto found = directories.find(std::string(parentOf(file.path)));
    if (found == directories.end()) continue;
    found->second.all.push_back(&file);
    found->second.synced.push_back(&file);
  }
  ByPath digests;
  for (auto& [path, files] : directories) {
    digests[path] = {digestOfFiles(path, std::move(files.synced), options),
                     digestOfFiles(path, std::move(files.all), options)};
  }
  return digests;
}

void LeftOut::remember(const MirrorSummary& known, const Listing& listing) {
  if (store_ == nullptr || listing.state == proto::Summary::State::SAME) return;
  if (exclusions_.empty() && before_.empty()) return;
  auto now = digestsOf(listing, known.options);
  std::unordered_set<uint32_t> missing(listing.missingOnSpoke.begin(),
                                       listing.missingOnSpoke.end());
  for (auto& [path, index] : told_) {
    if (!missing.contains(index)) now.emplace(path, before_.at(path));
  }
  if (now == before_) return;
  std::vector<Store::LeftOutOf> rows;
  for (auto& [path, digests] : now) rows.push_back({path, digests.ours, digests.theirs});
  (void)store_->setLeftOut(spoke_.name, spoke_.exclude, rows);
}

}  // namespace pibrain
