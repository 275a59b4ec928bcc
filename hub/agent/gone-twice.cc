#include "hub/agent/gone-twice.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <unordered_map>

#include "common/fs/rooted-dir.h"

namespace pibrain {

namespace {

// Files that the mirror does not have yet, because they appeared during the run or could not be
// fetched. Each may be a file that is gone from its old path.
class Arrivals {
 public:
  // `files`: as they are now. `plan`: as it was before.
  Arrivals(const std::vector<PlannedFile>& files, const Plan& plan, const Paths& fetched,
           const StoredTimes& times) {
    auto before = plan.leftAlone;
    for (auto& file : plan.files) before.insert(file.remote.path);
    for (auto& file : files) {
      auto& remote = file.remote;
      bool isNew = file.kind == ChangeKind::NEW || file.kind == ChangeKind::MOVE;
      if (!isNew || fetched.contains(remote.path)) continue;
      names_[std::string(baseNameOf(remote.path))].push_back(remote.path);
      // A file that existed before and could not be fetched is no reason to keep all smaller ones.
      if (before.contains(remote.path)) continue;
      largest_.emplace_back(remote.size, times.stored(remote.mtime));
    }
    std::sort(largest_.begin(), largest_.end(), std::greater<>());
    int64_t latest = INT64_MIN;
    for (auto& [size, mtime] : largest_) latest = mtime = std::max(mtime, latest);
  }

  // Returns whether a new file may be this one: it has the same name, or was renamed and has grown.
  bool mayBe(const GoneFile& gone) const {
    auto named = names_.find(std::string(baseNameOf(gone.path)));
    // A file in the way of a new one must go, so that the new one can be fetched.
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
  std::unordered_map<std::string, std::vector<std::string>> names_;  // paths by name
  // Sizes, the largest first, each with the latest time of all files of at least that size.
  std::vector<std::pair<uint64_t, int64_t>> largest_;
};

}  // namespace

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

}  // namespace pibrain
