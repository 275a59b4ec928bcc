#include "hub/mirror/archive-age.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <stdio.h>

#include <algorithm>
#include <set>

#include "common/fs/file-times.h"
#include "common/fs/rooted-dir.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

constexpr int64_t SECOND = 1'000'000'000, HOUR = 3600 * SECOND, DAY = 24 * HOUR;

// Returns the time that certainly passed between two readings of the clocks.
int64_t certainBetween(const AgeClocks& then, const AgeClocks& now) {
  if (!then.boot.empty() && then.boot == now.boot && now.uptime >= then.uptime) {
    return now.uptime - then.uptime;
  }
  int64_t passed = 0;
  if (__builtin_sub_overflow(now.wall, then.wall, &passed)) return 0;
  return std::clamp<int64_t>(passed, 0, DAY);
}

// A run's further directories, RUN~2 and so on (hub/mirror/archive.h), share the run's age.
std::string countedAs(const std::string& run) { return run.substr(0, run.find('~')); }

}  // namespace

AgeClocks AgeClocks::now() {
  AgeClocks now;
  now.wall = wallClockNanos();
  // Read from /proc, since libraries that fake clocks do not change that.
  auto uptime = readWholeFile("/proc/uptime");
  auto boot = readWholeFile("/proc/sys/kernel/random/boot_id");
  double seconds = 0;
  if (!uptime || !boot || sscanf(uptime->c_str(), "%lf", &seconds) != 1) return now;
  now.uptime = int64_t(seconds * double(SECOND));
  now.boot = boot->substr(0, boot->find_first_of(" \n"));
  return now;
}

ArchiveAges::ArchiveAges(const std::string& file, const AgeClocks& now) : file_(file), now_(now) {
  auto text = readWholeFile(file);
  if (!text) return;
  bool seen = false;
  for (auto line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    AgeClocks then;
    int64_t age = 0;
    if (words.size() == 4 && words[0] == "seen" && absl::SimpleAtoi(words[1], &then.uptime) &&
        absl::SimpleAtoi(words[2], &then.wall)) {
      if (words[3] != "-") then.boot = words[3];
      passed_ = certainBetween(then, now);
      seen = true;
      // Otherwise the next interval would be measured from a wrong clock.
      changed_ = then.boot != now.boot || now.wall < then.wall;
    } else if (seen && words.size() == 2 && absl::SimpleAtoi(words[1], &age) && age >= 0) {
      ages_[words[0]] = age + passed_;
    }
  }
}

std::optional<int64_t> ArchiveAges::of(const std::string& run) const {
  auto found = ages_.find(countedAs(run));
  if (found == ages_.end()) return std::nullopt;
  return found->second;
}

void ArchiveAges::begin(const std::string& run) {
  changed_ |= ages_.emplace(countedAs(run), 0).second;
}

void ArchiveAges::forgetAllBut(const std::vector<std::string>& runs) {
  std::set<std::string> there;
  for (auto& run : runs) there.insert(countedAs(run));
  changed_ |= std::erase_if(ages_, [&](auto& one) { return !there.contains(one.first); }) > 0;
}

void ArchiveAges::save() {
  if (!changed_ && passed_ < HOUR) return;
  auto text = absl::StrCat("seen ", now_.uptime, " ", now_.wall, " ",
                           now_.boot.empty() ? "-" : now_.boot, "\n");
  for (auto& [run, age] : ages_) absl::StrAppend(&text, run, " ", age, "\n");
  if (makeDirectories(std::string(parentOf(file_))).ok()) (void)replaceFile(file_, text, 0600);
}

void noteArchiveRun(const std::string& file, const std::string& run, const AgeClocks& now) {
  ArchiveAges ages(file, now);
  ages.begin(run);
  ages.save();
}

}  // namespace pibrain
