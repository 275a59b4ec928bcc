// The doctor's checks of a spoke's mirror and runs.

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include <set>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/user-files.h"
#include "hub/run/doctor-parts.h"

namespace pibrain {

namespace {

constexpr uint64_t LITTLE_ROOM = 1 << 30;  // a warning
constexpr uint64_t NO_ROOM = 64 << 20;     // a failure

}  // namespace

void examineMirror(const SpokeConfig& spoke, Checklist& checks) {
  checks.at("mirror");
  bool there = nearestTo(spoke.path).error == 0;
  if (auto why = whyNotWritable(spoke.path)) {
    checks.fail(Failure(FailureId::MIRROR_UNUSABLE,
                        absl::StrCat("the mirror ", escapeForTerminal(spoke.path),
                                     " cannot be written: ", withoutFullStop(*why)),
                        "", {{"If the path is wrong, correct 'path' in the config", ""}}));
  } else if (!there && spoke.method == SyncMethod::SYNCTHING) {
    checks.warn(Failure(FailureId::MIRROR_MISSING,
                        escapeForTerminal(spoke.path) + " does not exist",
                        "Syncthing has not synced anything yet."));
  } else {
    checks.good(absl::StrCat(spoke.path, there ? ", writable" : ", which the first run creates"));
  }
}

void examineRoom(const Config& config, const SpokeConfig& spoke, Checklist& checks) {
  checks.at("disk");
  auto mirror = nearestTo(spoke.path).path;
  // Each filesystem once.
  std::set<dev_t> seen;
  for (auto& path :
       {mirror, nearestTo(config.hub.archiveDir).path, nearestTo(config.hub.databaseDir).path}) {
    struct stat st;
    if (stat(path.c_str(), &st) == 0 && !seen.insert(st.st_dev).second) continue;
    struct statvfs fs;
    if (statvfs(path.c_str(), &fs) != 0) {
      checks.warn(Failure(FailureId::HUB_FILE_ERROR,
                          absl::StrCat("the free space at ", escapeForTerminal(path),
                                       " is unknown: ", strerror(errno))));
      continue;
    }
    uint64_t room = uint64_t(fs.f_bavail) * fs.f_frsize;
    auto detail = absl::StrCat(formatBytes(room), " free at ", path);
    if (room < NO_ROOM || (fs.f_files > 0 && fs.f_favail == 0)) {
      checks.fail(Failure(FailureId::DISK_FULL,
                          escapeForTerminal(detail) + (room < NO_ROOM ? "" : ", but no inodes"), "",
                          {makeRoom(path)}));
    } else if (room < LITTLE_ROOM) {
      checks.warn(Failure(FailureId::DISK_NEARLY_FULL, escapeForTerminal(detail),
                          "One more large session could fill it.", {makeRoom(path)}));
    } else if (path == mirror) {
      checks.good(detail);
    }
  }
}

namespace {

Fix syncIt(const SpokeConfig& spoke) {
  return {"Sync it", ownCommand("sync run --spoke " + escapeForTerminal(shellQuote(spoke.name)))};
}

Failure neverSynced(const SpokeConfig& spoke) {
  return Failure(FailureId::NEVER_SYNCED, "never synced", "", {syncIt(spoke)});
}

// Returns what failed in the latest run; briefly, if this examination has met the same failure.
Failure failedLately(const SpokeConfig& spoke, const std::string& last, const Failure& failure,
                     const Checklist& checks) {
  if (checks.hasFailed(failure.id())) {
    return Failure(failure.id(), last + "; the latest run failed for the same reason");
  }
  // What stopped it may have been fixed since.
  if (!checks.hasFailed()) {
    return Failure(failure.id(),
                   absl::StrCat(last, "; the latest run failed (", std::string(failure.idName()),
                                "), but every check passes now"),
                   "", {syncIt(spoke)});
  }
  return Failure(failure.id(), absl::StrCat(last, "; the latest run failed: ", failure.summary()),
                 failure.cause(), failure.fixes());
}

}  // namespace

void examineLastRun(const SpokeConfig& spoke, Store* store, Checklist& checks) {
  checks.at("last run");
  if (store == nullptr) return checks.warn(neverSynced(spoke));
  auto runs = store->lastRuns(spoke.name);
  if (!runs.ok()) {
    return checks.warn(Failure(FailureId::HISTORY_UNUSABLE,
                               withoutFullStop(std::string(runs.status().message()))));
  }
  int64_t now = wallClockNanos();
  auto last = runs->lastGood ? "last good run " + formatAgo(*runs->lastGood, now) : "never synced";
  if (runs->lastFailure) {
    checks.warn(failedLately(spoke, last, *runs->lastFailure, checks));
  } else if (!runs->lastGood) {
    checks.warn(neverSynced(spoke));
  } else if (runs->isStale(now)) {
    checks.warn(Failure(FailureId::SYNC_STALE, last, "",
                        {{"Check that cron or the timer still starts 'pi-brain sync run'",
                          "crontab -l; systemctl --user list-timers"}}));
  } else {
    checks.good(last);
  }
}

}  // namespace pibrain
