#include "hub/sync/filesystem-traits.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/common.h>
#include <kj/exception.h>
#include <kj/io.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "common/file-io.h"
#include "common/rooted-dir.h"
#include "hub/store.h"
#include "hub/sync/mirror.h"

namespace pibrain {

namespace {

constexpr char PROBE[] = "probe.part", PROBE_IN_CAPITALS[] = "PROBE.PART";
// An e with an acute accent, as one character and as two (Unicode's normal forms C and D).
constexpr char COMPOSED[] = "probe-\xc3\xa9.part", DECOMPOSED[] = "probe-e\xcc\x81.part";

kj::AutoCloseFd create(int directory, const char* name) {
  unlinkat(directory, name, 0);
  return kj::AutoCloseFd(
      openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
}

// The time that the file has after it was given this one.
int64_t storedTime(int fd, int64_t time) {
  setMtime(fd, time);
  struct stat st;
  if (fstat(fd, &st) != 0) throwErrno(errno, "cannot read a file's time");
  return mtimeOf(st);
}

int64_t grainOf(int fd) {
  // An odd second, and another digit at each place.
  constexpr int64_t TIME = 1'000'000'001'987'654'321;
  constexpr int64_t GRAINS[] = {1, 100, 1'000, 1'000'000, 10'000'000, 1'000'000'000, 2'000'000'000};
  auto stored = storedTime(fd, TIME);
  for (auto grain : GRAINS) {
    if (StoredTimes{grain}.stored(TIME) == stored) return grain;
  }
  return GRAINS[std::size(GRAINS) - 1];
}

StoredTimes timesOf(int fd) {
  StoredTimes times;
  times.grain = grainOf(fd);
  times.newest = storedTime(fd, INT64_MAX);
  times.oldest = storedTime(fd, INT64_MIN);
  // Not one that wraps around, or takes no such time at all.
  if (times.oldest < times.newest) return times;
  return {times.grain};
}

bool exists(int directory, const char* name) {
  struct stat st;
  return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

FilesystemTraits probeFilesystem(int directory) {
  FilesystemTraits traits;
  {
    auto file = create(directory, PROBE);
    if (file.get() < 0) throwErrno(errno, "cannot create a file");
    KJ_DEFER(unlinkat(directory, PROBE, 0));
    traits.times = timesOf(file);
    traits.foldsNames = exists(directory, PROBE_IN_CAPITALS);
  }
  // Some take no such name at all.
  auto file = create(directory, COMPOSED);
  if (file.get() < 0) return traits;
  KJ_DEFER(unlinkat(directory, COMPOSED, 0));
  traits.foldsNames |= exists(directory, DECOMPOSED);
  auto names = namesIn(directory);
  traits.changesNames = !std::binary_search(names.begin(), names.end(), COMPOSED);
  return traits;
}

std::string filesystemIdentity(int directory) {
  struct stat st = {};
  struct statfs fs = {};
  if (fstat(directory, &st) != 0 || fstatfs(directory, &fs) != 0) return "";
  uint64_t id = 0;
  static_assert(sizeof(fs.f_fsid) == sizeof(id));
  memcpy(&id, &fs.f_fsid, sizeof(id));
  return absl::StrCat(uint64_t(st.st_dev), ":", int64_t(fs.f_type), ":", id, ":",
                      uint64_t(st.st_ino));
}

FilesystemTraits traitsOf(Mirror& mirror, const std::string& spoke, Store* store, bool mayProbe) {
  auto identity = mirror.filesystem();
  if (identity.empty()) return {};
  if (store != nullptr) {
    if (auto known = store->filesystemTraits(spoke, identity)) {
      return FilesystemTraits::fromText(*known);
    }
  }
  FilesystemTraits traits;
  if (!mayProbe) return traits;
  // Where no file can be made, a run has nothing to compare with.
  bool found = kj::runCatchingExceptions([&]() { traits = mirror.probe(); }) == nullptr;
  if (found && store != nullptr) (void)store->setFilesystemTraits(spoke, identity, traits.text());
  return traits;
}

std::string FilesystemTraits::text() const {
  return absl::StrCat(times.grain, " ", times.oldest, " ", times.newest, " ", int(foldsNames), " ",
                      int(changesNames));
}

FilesystemTraits FilesystemTraits::fromText(const std::string& text) {
  std::vector<std::string> words = absl::StrSplit(text, ' ');
  FilesystemTraits traits;
  bool good = words.size() == 5 && absl::SimpleAtoi(words[0], &traits.times.grain) &&
              absl::SimpleAtoi(words[1], &traits.times.oldest) &&
              absl::SimpleAtoi(words[2], &traits.times.newest);
  if (!good) return {};
  traits.foldsNames = words[3] == "1";
  traits.changesNames = words[4] == "1";
  return traits;
}

}  // namespace pibrain
