#include "hub/agent/plan.h"

#include <absl/time/civil_time.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "common/fs/file-io.h"
#include "common/fs/rooted-dir.h"
#include "hub/agent/move-finder.h"

namespace pibrain {

namespace {

Paths parentsOf(const Paths& paths) {
  Paths parents;
  for (auto& path : paths) parents.emplace(parentOf(path));
  return parents;
}

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

// Files that the mirror has not yet: they came to the spoke while a run was on its way, or could
// not be fetched. Each may be one that is gone from its old place.
class Arrivals {
 public:
  // `files` as they are now, `plan` as it was made.
  Arrivals(const std::vector<PlannedFile>& files, const Plan& plan, const Paths& fetched,
           const StoredTimes& times) {
    auto before = plan.leftAlone;
    for (auto& file : plan.files) before.insert(file.remote.path);
    for (auto& file : files) {
      auto& remote = file.remote;
      bool isNew = file.kind == ChangeKind::NEW || file.kind == ChangeKind::MOVE;
      if (!isNew || fetched.contains(remote.path)) continue;
      names_[std::string(baseNameOf(remote.path))].push_back(remote.path);
      // What was there before and could not be fetched is no reason to keep all that is smaller.
      if (before.contains(remote.path)) continue;
      largest_.emplace_back(remote.size, times.stored(remote.mtime));
    }
    std::sort(largest_.begin(), largest_.end(), std::greater<>());
    int64_t latest = INT64_MIN;
    for (auto& [size, mtime] : largest_) latest = mtime = std::max(mtime, latest);
  }

  // By its name; or it may have been renamed, and have grown.
  bool mayBe(const GoneFile& gone) const {
    auto named = names_.find(std::string(baseNameOf(gone.path)));
    // What is in a file's way goes, so that it can come.
    auto isElsewhere = [&](auto& path) { return !gone.path.starts_with(path + "/"); };
    if (named != names_.end() &&
        std::any_of(named->second.begin(), named->second.end(), isElsewhere)) {
      return true;
    }
    auto smaller = std::partition_point(largest_.begin(), largest_.end(),
                                        [&](auto& one) { return one.first >= gone.size; });
    return smaller != largest_.begin() && std::prev(smaller)->second >= gone.mtime;
  }

 private:
  std::unordered_map<std::string, std::vector<std::string>> names_;  // paths, by name
  // Sizes, the largest first, each with the latest time of a file that is not smaller.
  std::vector<std::pair<uint64_t, int64_t>> largest_;
};

}  // namespace

MirrorSummary summarizeMirror(const Tree& mirror, const Paths& kept, const DigestOptions& options) {
  auto keptIn = parentsOf(kept);
  MirrorSummary known;
  known.options = options;
  for (auto& directory : mirror.directories) {
    uint64_t digest = directory.digest;
    if (keptIn.contains(directory.path)) {
      auto rest = directory;
      dropFiles(
          rest, [&](const std::string& path) { return kept.contains(path); }, options);
      if (rest.files.empty()) continue;
      digest = rest.digest;
    }
    known.digests.push_back(digest);
    known.directories.push_back(&directory);
    for (auto& file : directory.files) known.newest = std::max(known.newest, file.mtime);
  }
  // A file from the future would hide what changes until then.
  known.newest = std::min(known.newest, wallClockNanos());
  known.tree = treeDigest(known.digests);
  return known;
}

Plan makePlan(const Tree& mirror, const Paths& kept, const MirrorSummary& known,
              const Listing& listing) {
  Plan plan;
  plan.mirrorFiles = mirror.files;

  // Directories whose files may differ; in all others only the kept files do.
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

  std::unordered_set<std::string_view> present;
  std::vector<const RemoteFile*> created;
  for (auto& remote : listing.listed) {
    present.insert(remote.path);
    auto found = files.find(remote.path);
    if (found == files.end()) {
      created.push_back(&remote);
      continue;
    }
    auto& file = *found->second;
    bool sameMode = !known.options.modes || remote.mode == 0 ||
                    mirroredMode(remote.mode) == mirroredMode(file.mode);
    if (file.size == remote.size && file.mtime == known.options.times.stored(remote.mtime) &&
        sameMode) {
      continue;
    }
    auto kind = remote.size > file.size    ? ChangeKind::GROW
                : remote.size == file.size ? ChangeKind::TOUCH
                                           : ChangeKind::REWRITE;
    plan.files.push_back({remote, kind, remote.path, file.size, {}, NO_MOVE_GROUP});
  }

  if (listing.complete) {
    for (auto& [path, file] : files) {
      if (!present.contains(path)) plan.gone.push_back({path, file->size, file->mtime});
    }
    std::sort(plan.gone.begin(), plan.gone.end());
  }
  plan.spokeFiles = mirror.files - plan.gone.size() + created.size();
  MoveFinder moves(known.remembersKept ? plan.gone : std::vector<GoneFile>(), kept, files);
  auto planMove = [&](const RemoteFile& remote, MoveFinder::Found found) {
    if (found.candidates.empty()) return false;
    auto size = files.at(found.candidates[0])->size;
    plan.files.push_back(
        {remote, ChangeKind::MOVE, "", size, std::move(found.candidates), found.group});
    return true;
  };
  std::erase_if(created, [&](auto* remote) {
    return planMove(*remote, moves.exact(*remote, known.options.times.stored(remote->mtime)));
  });
  for (auto* remote : created) {
    auto found = moves.grown(*remote);
    if (planMove(*remote, found)) continue;
    plan.files.push_back({*remote, ChangeKind::NEW, "", 0, {}, found.group});
  }
  plan.moveGroups = moves.takeGroups();
  sortByAge(plan.files);
  return plan;
}

bool isWithin(std::string_view path, const Paths& directories) {
  for (; !directories.empty() && !path.empty(); path = parentOf(path)) {
    if (directories.contains(std::string(path))) return true;
  }
  return false;
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

std::vector<GoneFile> goneTwice(const Plan& plan, const Tree& mirror, const Paths& kept,
                                const MirrorSummary& known, const Listing& second,
                                const Paths& fetched) {
  std::vector<GoneFile> gone;
  if (second.rest == proto::Summary::Rest::CHANGING) return gone;
  auto now = makePlan(mirror, kept, known, second);
  std::set_intersection(plan.gone.begin(), plan.gone.end(), now.gone.begin(), now.gone.end(),
                        std::back_inserter(gone));
  Paths shields(second.skipped.begin(), second.skipped.end());
  auto isShielded = [&](std::string_view path) {
    for (; !path.empty(); path = parentOf(path)) {
      if (shields.contains(std::string(path))) return true;
    }
    return shields.contains("");
  };
  Arrivals arrivals(now.files, plan, fetched, known.options.times);
  std::erase_if(gone, [&](auto& file) { return isShielded(file.path) || arrivals.mayBe(file); });
  return gone;
}

int64_t sessionStart(std::string_view name, int64_t otherwise) {
  // Digits where the format has a 0; milliseconds are not needed. Every new file is asked, so
  // sscanf and timegm would be seen in a first run's profile.
  constexpr std::string_view FORMAT = "0000-00-00T00-00-00-000Z";
  if (name.size() < FORMAT.size()) return otherwise;
  for (size_t i = 0; i < FORMAT.size(); ++i) {
    bool fits = FORMAT[i] == '0' ? name[i] >= '0' && name[i] <= '9' : name[i] == FORMAT[i];
    if (!fits) return otherwise;
  }
  auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (char digit : name.substr(at, digits)) value = 10 * value + (digit - '0');
    return value;
  };
  absl::CivilSecond start(number(0, 4), number(5, 2), number(8, 2), number(11, 2), number(14, 2),
                          number(17, 2));
  return start - absl::CivilSecond();  // which is the epoch
}

}  // namespace pibrain
