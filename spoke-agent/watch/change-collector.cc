#include "spoke-agent/watch/change-collector.h"

#include <algorithm>
#include <utility>

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
  included_.clear();
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
  auto look = [&](uint32_t id, const Seen& then) {
    if (lookAt(id, then, since)) ++looked;
    return looked < MAX_HOT;
  };
  for (uint32_t id : included_) {
    if (!look(id, {})) return;
  }
  for (auto& directory : tree_->directories) {
    if (marks_.isMarked(directory.path)) continue;
    for (uint32_t i = 0; i < directory.files.size(); ++i) {
      auto& file = directory.files[i];
      if (!look(directory.firstFile + i, {file.size, file.mtime})) return;
    }
  }
}

bool ChangeCollector::lookAt(uint32_t id, const Seen& then, int64_t since) {
  auto last = seen_.find(id);
  auto& known = last == seen_.end() ? then : last->second;
  if (known.mtime < since) return false;
  auto opened = root_.open(*tree_, id);
  if (opened.is<TreeSource::File>()) {
    auto& file = opened.get<TreeSource::File>();
    compare(id, then, {file.size, file.mtime});
  } else {
    structure_ = true;
  }
  return true;
}

// Both are sorted by path.
void ChangeCollector::compare(const Tree& now) {
  bool gone = false;
  Came came;
  auto before = tree_->directories.begin(), end = tree_->directories.end();
  for (auto& directory : now.directories) {
    while (before != end && before->path < directory.path) {
      gone = true;
      ++before;
    }
    if (before == end || before->path != directory.path) {
      for (auto& file : directory.files) came.emplace_back(&directory, &file);
      continue;
    }
    if (before->digest != directory.digest) gone |= compareFiles(*before, directory, came);
    ++before;
  }
  gone |= before != end;
  structure_ |= gone;
  // What came may be what is gone, renamed: a scan finds out, and nothing need be sent again.
  if (!gone) look(came);
}

bool ChangeCollector::compareFiles(const Tree::Directory& then, const Tree::Directory& now,
                                   Came& came) {
  auto byName = [&](const Tree::File& file, std::string_view name) {
    return then.name(file) < name;
  };
  size_t common = 0;
  for (auto& file : now.files) {
    auto name = now.name(file);
    auto found = std::lower_bound(then.files.begin(), then.files.end(), name, byName);
    if (found == then.files.end() || then.name(*found) != name) {
      came.emplace_back(&now, &file);
      continue;
    }
    ++common;
    auto id = then.firstFile + uint32_t(found - then.files.begin());
    compare(id, {found->size, found->mtime}, {file.size, file.mtime});
  }
  return common < then.files.size();
}

void ChangeCollector::compare(uint32_t id, const Seen& then, const Seen& now) {
  auto last = seen_.find(id);
  if (now == (last == seen_.end() ? then : last->second)) return;
  seen_[id] = now;
  note(id);
}

void ChangeCollector::look(const Came& came) {
  auto before = std::exchange(included_, {});
  for (auto& [directory, file] : came) {
    auto path = directory->pathOf(*file);
    kj::Maybe<uint32_t> id;
    if (path.ends_with(SESSION_SUFFIX)) id = root_.include(path);
    KJ_IF_MAYBE(included, id) {
      included_.insert(*included);
      compare(*included, {}, {file->size, file->mtime});
    } else {
      structure_ = true;
    }
  }
  structure_ |= !std::includes(included_.begin(), included_.end(), before.begin(), before.end());
}

void ChangeCollector::changed(const std::string& directory, std::string_view name, Change change,
                              bool isDirectory) {
  auto path = joinPath(directory, name);
  if (!name.empty() && root_.leavesOut(path, isDirectory)) return;
  switch (change) {
    case Change::WRITTEN:
      if (isDirectory) return includeAll(path, markBelow(path));
      return include(path);
    case Change::MOVED_IN:
      // A new name may be that of files which the hub has: a scan finds out.
      if (isDirectory) {
        markBelow(path);
      } else {
        KJ_IF_MAYBE(id, tree_->idOf(path)) return note(*id);
      }
      break;
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

Tree ChangeCollector::markBelow(const std::string& directory) {
  auto refused = marks_.pass().refused;
  auto inside = root_.lookInto(directory, [&](int fd, const std::string& path) {
    marks_.enter(fd, joinPath(directory, path));
  });
  auto pass = marks_.pass();
  if (pass.refused > refused) mode_ = {pass.marked, pass.refused, pass.why};
  return inside;
}

void ChangeCollector::includeAll(const std::string& directory, const Tree& inside) {
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
