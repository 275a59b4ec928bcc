#include "hub/report/status.h"

#include <absl/strings/str_cat.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-kinds.h"
#include "hub/base/own-command.h"
#include "hub/base/subprocess.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/mirror/contents.h"
#include "hub/mirror/deletion.h"

namespace pibrain {

Status statusOf(const Config& config, const std::function<void(const std::string&)>& warn) {
  Status status;
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  status.hubName = name;
  status.hubSessions = uint32_t(mirrorContents(config.hub.sessionsDir, warn).sessions.size());
  status.rsyncAvailable = findProgram("rsync").has_value();
  auto store = Store::openExisting(config.hub.databaseDir, warn);
  if (!store.ok()) {
    warn("the history cannot be read: " + std::string(store.status().message()));
  }
  for (auto& spoke : config.spokes) {
    SpokeStatus one{&spoke};
    struct stat st;
    bool there = stat(spoke.path.c_str(), &st) == 0;
    one.exists = there && S_ISDIR(st.st_mode);
    one.isFile = there && !one.exists;
    auto contents = one.isFile ? Contents() : mirrorContents(spoke.path, warn);
    one.sessions = uint32_t(contents.sessions.size());
    one.files = contents.files;
    one.bytes = contents.bytes;
    if (store.ok() && *store != nullptr) {
      if (auto runs = (*store)->lastRuns(spoke.name); runs.ok()) one.runs = *runs;
    }
    one.archiveBytes = archivedBytes(config.hub.archiveDir, spoke.name);
    status.total += one.sessions;
    status.spokes.push_back(std::move(one));
  }
  return status;
}

const char* toString(SpokeState state) {
  switch (state) {
    case SpokeState::FAILED:
      return "failed";
    case SpokeState::NEVER:
      return "never synced";
    case SpokeState::STALE:
      return "stale";
    case SpokeState::EMPTY:
      return kindOf(FailureId::ROOT_EMPTY).name.data();
    case SpokeState::GOOD:
      return "ok";
    case SpokeState::DISABLED:
      return "disabled";
  }
  return "";
}

SpokeState SpokeStatus::state(int64_t now) const {
  if (!config->enabled) return SpokeState::DISABLED;
  // Syncthing syncs by itself, so there are no runs.
  if (config->method == SyncMethod::SYNCTHING) return exists ? SpokeState::GOOD : SpokeState::NEVER;
  if (runs.lastFailure || isFile || (runs.lastGood && !exists)) return SpokeState::FAILED;
  if (!runs.lastGood) return SpokeState::NEVER;
  if (runs.isStale(now)) return SpokeState::STALE;
  return runs.last && runs.last->files == 0 && files > 0 ? SpokeState::EMPTY : SpokeState::GOOD;
}

std::optional<Failure> SpokeStatus::problem(int64_t now) const {
  if (runs.lastFailure) return runs.lastFailure;
  auto quoted = escapeForTerminal(shellQuote(config->path));
  auto run = ownCommand("sync run " + escapeForTerminal(shellQuote(config->name)));
  if (isFile) {
    return Failure(
        FailureId::MIRROR_UNUSABLE,
        absl::StrCat("the mirror ", inQuotes(config->path), " is not a directory"), "",
        {{"Move it away, and sync again", absl::StrCat("mv ", quoted, " ", quoted, ".old")}});
  }
  switch (state(now)) {
    case SpokeState::FAILED:
      return Failure(FailureId::MIRROR_UNUSABLE,
                     absl::StrCat("the mirror ", inQuotes(config->path), " is gone"), "",
                     {{"Put it back, or fetch everything again", run}});
    case SpokeState::EMPTY:
      return rootEmpty(config->source.path, files);
    case SpokeState::NEVER:
    case SpokeState::STALE:
    case SpokeState::GOOD:
    case SpokeState::DISABLED:
      break;
  }
  return std::nullopt;
}

std::optional<int64_t> SpokeStatus::lag(int64_t now) const {
  if (!runs.lastGoodStarted) return std::nullopt;
  return std::max<int64_t>(0, now - *runs.lastGoodStarted);
}

}  // namespace pibrain
