#include "hub/mirror/filesystem-traits.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
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

#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/wire/digest.h"
#include "hub/base/user-files.h"
#include "hub/history/store.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

namespace {

constexpr char PROBE[] = "Probe.part", PROBE_IN_CAPITALS[] = "PROBE.PART";
// An e with an acute accent as one character and as two (Unicode's normal forms C and D).
constexpr char COMPOSED[] = "probe-\xc3\xa9.part", DECOMPOSED[] = "probe-e\xcc\x81.part";

kj::AutoCloseFd create(int directory, const char* name) {
  unlinkat(directory, name, 0);
  return kj::AutoCloseFd(
      openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
}

// Sets the file's time, and returns the time that the filesystem stored.
int64_t storedTime(int fd, int64_t time) {
  setMtime(fd, time);
  struct stat st;
  if (fstat(fd, &st) != 0) throwErrno(errno, "cannot read a file's time");
  return mtimeOf(st);
}

int64_t grainOf(int fd) {
  // An odd second, and a different digit at each decimal place.
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
  // Ignore a filesystem whose times wrap around, or that rejects such times.
  if (times.oldest < times.newest) return times;
  return {times.grain};
}

// Returns whether a mode reads back as it was set; some filesystems force all or part of it.
bool keepsModes(int fd) {
  for (mode_t mode : {0640, 0755, 0600}) {
    struct stat st;
    if (fchmod(fd, mode) != 0 || fstat(fd, &st) != 0 || (st.st_mode & 0777) != mode) return false;
  }
  return true;
}

// Returns whether the directory lists this exact name.
bool isListed(int directory, const char* name) {
  auto names = namesIn(directory);
  return std::binary_search(names.begin(), names.end(), name);
}

bool exists(int directory, const char* name) {
  struct stat st;
  return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

constexpr long FUSE = 0x65735546;  // statfs(2)

// Returns the kernel's id of the mount that the directory is in; 0: unknown.
uint64_t mountOf(int directory, unsigned mask) {
  struct statx about = {};
  bool known = statx(directory, "", AT_EMPTY_PATH, mask, &about) == 0 && (about.stx_mask & mask);
  return known ? about.stx_mnt_id : 0;
}

// Returns the type and options of mount `id` from mountinfo (proc_pid_mountinfo(5)), without rw and
// ro.
std::string optionsOf(uint64_t id, const std::string& mountinfo) {
  for (auto line : absl::StrSplit(mountinfo, '\n')) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words[0] != std::to_string(id)) continue;
    auto dash = std::find(words.begin(), words.end(), "-");
    if (words.end() - dash < 4) return "";
    std::vector<std::string> options = absl::StrSplit(dash[3], ',');
    std::erase_if(options, [](auto& option) { return option == "rw" || option == "ro"; });
    return absl::StrCat(dash[1], ",", absl::StrJoin(options, ","));
  }
  return "";
}

// Options can change how a filesystem behaves (lowntfs-3g's ignore_case). The options of a FUSE
// program are not visible, so each FUSE mount counts as different.
std::string mountIdentity(int directory, bool fuse) {
#ifndef STATX_MNT_ID_UNIQUE
  constexpr unsigned STATX_MNT_ID_UNIQUE = 0x4000;  // Linux 6.8
#endif
  auto id = mountOf(directory, STATX_MNT_ID);
  auto mountinfo = readWholeFile("/proc/self/mountinfo");
  if (id == 0 || !mountinfo) return "";
  auto options = optionsOf(id, *mountinfo);
  auto digest = digestOf(kj::arrayPtr(options.data(), options.size()).asBytes());
  auto text = absl::StrCat(absl::Hex(digest.high, absl::kZeroPad16));
  if (!fuse) return text;
  auto unique = mountOf(directory, STATX_MNT_ID_UNIQUE);
  return absl::StrCat(text, ":", unique != 0 ? unique : id);
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
    traits.changesNames = !isListed(directory, PROBE);
    traits.keepsModes = keepsModes(file);
  }
  // Some filesystems reject such a name.
  auto file = create(directory, COMPOSED);
  if (file.get() < 0) return traits;
  KJ_DEFER(unlinkat(directory, COMPOSED, 0));
  traits.foldsNames |= exists(directory, DECOMPOSED);
  traits.changesNames |= !isListed(directory, COMPOSED);
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
                      uint64_t(st.st_ino), ":", mountIdentity(directory, fs.f_type == FUSE));
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
  // If no file can be created, a run cannot compare anything either.
  bool found = kj::runCatchingExceptions([&]() { traits = mirror.probe(); }) == nullptr;
  if (found && store != nullptr) (void)store->setFilesystemTraits(spoke, identity, traits.text());
  return traits;
}

std::optional<std::string> warningOfModes(Mirror& mirror, const std::string& spoke, Store* store,
                                          bool remember) {
  auto traits = mirror.traits();
  if (!mirror.lacksModes() || traits.toldOfModes) return std::nullopt;
  traits.toldOfModes = true;
  if (remember && store != nullptr) {
    (void)store->setFilesystemTraits(spoke, mirror.filesystem(), traits.text());
  }
  auto path = escapeForTerminal(mirror.path());
  return absl::StrCat("the filesystem of the mirror ", path,
                      " does not store modes, so 'keep_modes' has no effect: the mount decides the "
                      "mode of all files; 'findmnt -T ",
                      path, "' shows it. This warning appears once");
}

std::string FilesystemTraits::text() const {
  return absl::StrCat(times.grain, " ", times.oldest, " ", times.newest, " ", int(foldsNames), " ",
                      int(changesNames), " ", int(keepsModes), " ", int(toldOfModes));
}

FilesystemTraits FilesystemTraits::fromText(const std::string& text) {
  std::vector<std::string> words = absl::StrSplit(text, ' ');
  FilesystemTraits traits;
  bool good = words.size() == 7 && absl::SimpleAtoi(words[0], &traits.times.grain) &&
              absl::SimpleAtoi(words[1], &traits.times.oldest) &&
              absl::SimpleAtoi(words[2], &traits.times.newest);
  if (!good) return {};
  traits.foldsNames = words[3] == "1";
  traits.changesNames = words[4] == "1";
  traits.keepsModes = words[5] == "1";
  traits.toldOfModes = words[6] == "1";
  return traits;
}

}  // namespace pibrain
