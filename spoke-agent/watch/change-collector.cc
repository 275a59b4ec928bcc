#include "spoke-agent/watch/change-collector.h"

#include <algorithm>

#include "common/fs/file-times.h"
#include "common/fs/rooted-dir.h"
#include "common/wire/protocol.h"

namespace pibrain {

namespace {

// A file that changed so recently is looked at often.
constexpr int64_t HOT_NANOS = 600'000'000'000;
constexpr size_t MAX_HOT = 1000;

int64_t newestIn(const Tree::Directory& directory) {
  int64_t newest = INT64_MIN;
  for (auto& file : directory.files) newest = std::max(newest, file.mtime);
  return newest;
}

}  // namespace

void ChangeCollector::begin(std::shared_ptr<const Tree> tree) {
  tree_ = std::move(tree);
  files_.clear();
  seen_.clear();
  structure_ = missed_ = false;
  preferNewest(*tree_);
  lookAtAll();
}

// With more directories than marks, those with the newest files get them. All others are likely to
// stay as they are.
void ChangeCollector::preferNewest(const Tree& tree) {
  if (tree.directories.size() <= marks_.budget()) return marks_.prefer({});
  std::vector<std::pair<int64_t, const Tree::Directory*>> order;
  for (auto& directory : tree.directories) order.emplace_back(newestIn(directory), &directory);
  std::sort(order.begin(), order.end(), std::greater<>());
  std::unordered_set<std::string> newest;
  for (auto& [time, directory] : order) {
    // And those above, in which new ones appear.
    for (std::string_view path = directory->path;; path = parentOf(path)) {
      if (newest.size() == marks_.budget()) return marks_.prefer(std::move(newest));
      if (!newest.emplace(path).second || path.empty()) break;
    }
  }
  marks_.prefer(std::move(newest));
}

Tree ChangeCollector::walk() {
  marks_.beginPass();
  auto tree =
      root_.look([this](int directory, const std::string& path) { marks_.enter(directory, path); });
  auto pass = marks_.endPass();
  mode_ = {pass.marked, pass.refused, pass.why};
  return tree;
}

void ChangeCollector::drain() {
  if (marks_.fd() >= 0) marks_.drain(*this);
}

void ChangeCollector::lookAtAll() { compare(walk()); }

void ChangeCollector::lookAtHot() {
  int64_t since = wallClockNanos() - HOT_NANOS;
  size_t looked = 0;
  for (auto& directory : tree_->directories) {
    if (marks_.isMarked(directory.path)) continue;
    for (uint32_t i = 0; i < directory.files.size(); ++i) {
      uint32_t id = directory.firstFile + i;
      auto last = seen_.find(id);
      Seen then = last == seen_.end() ? Seen{directory.files[i].size, directory.files[i].mtime}
                                      : last->second;
      if (then.mtime < since) continue;
      if (++looked > MAX_HOT) return;
      auto opened = root_.open(*tree_, id);
      if (!opened.is<TreeSource::File>()) {
        structure_ = true;
        continue;
      }
      auto& file = opened.get<TreeSource::File>();
      if (then == Seen{file.size, file.mtime}) continue;
      seen_[id] = {file.size, file.mtime};
      note(id);
    }
  }
}

// Both are sorted by path.
void ChangeCollector::compare(const Tree& now) {
  auto before = tree_->directories.begin(), end = tree_->directories.end();
  for (auto& directory : now.directories) {
    while (before != end && before->path < directory.path) {
      structure_ = true;
      ++before;
    }
    if (before == end || before->path != directory.path) {
      for (auto& file : directory.files) look(directory, file);
      continue;
    }
    if (before->digest != directory.digest) compareFiles(*before, directory);
    ++before;
  }
  if (before != end) structure_ = true;
}

void ChangeCollector::compareFiles(const Tree::Directory& then, const Tree::Directory& now) {
  auto byName = [&](const Tree::File& file, std::string_view name) {
    return then.name(file) < name;
  };
  size_t common = 0;
  for (auto& file : now.files) {
    auto name = now.name(file);
    auto found = std::lower_bound(then.files.begin(), then.files.end(), name, byName);
    if (found == then.files.end() || then.name(*found) != name) {
      look(now, file);
      continue;
    }
    ++common;
    auto id = then.firstFile + uint32_t(found - then.files.begin());
    compare(id, {found->size, found->mtime}, {file.size, file.mtime});
  }
  if (common < then.files.size()) structure_ = true;
}

void ChangeCollector::compare(uint32_t id, const Seen& then, const Seen& now) {
  auto last = seen_.find(id);
  if (now == (last == seen_.end() ? then : last->second)) return;
  seen_[id] = now;
  note(id);
}

void ChangeCollector::look(const Tree::Directory& directory, const Tree::File& file) {
  auto path = directory.pathOf(file);
  if (path.ends_with(SESSION_SUFFIX)) {
    KJ_IF_MAYBE(id, root_.include(path)) return compare(*id, {}, {file.size, file.mtime});
  }
  structure_ = true;
}

void ChangeCollector::changed(const std::string& directory, std::string_view name, Change change) {
  auto path = joinPath(directory, name);
  if (root_.leavesOut(path)) return;
  switch (change) {
    case Change::WRITTEN:
      return include(path);
    case Change::MOVED_IN:
      // A new name may be that of a file which the hub has: a scan finds out.
      KJ_IF_MAYBE(id, tree_->idOf(path)) return note(*id);
      break;
    case Change::DIRECTORY:
      return includeDirectory(path);
    case Change::GONE:
      break;
  }
  structure_ = true;
}

void ChangeCollector::include(const std::string& path) {
  KJ_IF_MAYBE(id, tree_->idOf(path)) return note(*id);
  if (path.ends_with(SESSION_SUFFIX)) {
    KJ_IF_MAYBE(id, root_.include(path)) return note(*id);
  }
  structure_ = true;
}

void ChangeCollector::includeDirectory(const std::string& directory) {
  auto refused = marks_.pass().refused;
  auto inside = root_.lookInto(directory, [&](int fd, const std::string& path) {
    marks_.enter(fd, joinPath(directory, path));
  });
  auto pass = marks_.pass();
  if (pass.refused > refused) mode_ = {pass.marked, pass.refused, pass.why};
  structure_ |= !inside.problems.empty() || inside.symlinksSkipped + inside.specialsSkipped > 0;
  for (auto& one : inside.directories) {
    for (auto& file : one.files) include(joinPath(directory, one.pathOf(file)));
  }
}

void ChangeCollector::note(uint32_t file) { files_.insert(file); }

std::vector<uint32_t> ChangeCollector::takeFiles() {
  std::vector<uint32_t> files(files_.begin(), files_.end());
  files_.clear();
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace pibrain
