#pragma once
// The documents that commands print with --json, as in proto/report.capnp. A path that is not UTF-8
// has an exact form beside it.

#include <stdint.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/mirror/restore.h"
#include "hub/pass/diagnosis.h"
#include "hub/pass/live-status.h"
#include "hub/pass/live.h"
#include "hub/pass/spoke-change.h"
#include "hub/pass/spoke-report.h"
#include "hub/pass/verification.h"
#include "hub/report/session-start.h"
#include "hub/report/status.h"

namespace pibrain {

struct RunDocument {
  bool ok = false, dryRun = false;
  bool changes = false;  // whether each change is listed
};
std::string runJson(const std::vector<SpokeReport>& reports, const RunDocument& options);

// Returns the document of a command that failed before it had its own.
std::string refusalJson(const Failure& failure);

std::string statusJson(const Config& config, const Status& status);

// What a daemon says of itself.
struct DaemonDocument {
  int64_t pid;
  std::string version, config;
  int64_t started;  // ns since the epoch
  std::optional<Failure> configFailure;
};
std::string daemonJson(const DaemonDocument& daemon, const std::vector<LiveStatus>& spokes);

std::string historyJson(const std::vector<SpokeReport>& runs);

std::string doctorJson(const Diagnosis& hub, const std::vector<Diagnosis>& spokes, bool ok);

// `failure`: why some could not be read.
std::string archiveJson(const std::vector<ArchivedFile>& files,
                        const std::optional<Failure>& failure);

// `restored`: what became of choice.files.
std::string restoreJson(const RestoreChoice& choice, const std::vector<RestoredFile>& restored,
                        bool ok, bool dryRun);

std::string verifyJson(const std::vector<Verification>& results, bool ok);

std::string spokeChangesJson(const std::vector<SpokeChange>& changes, bool ok, bool dryRun);

struct ListedSession {
  std::string path;  // relative to the mirror
  uint64_t size;
  int64_t mtime;                      // ns since the epoch
  std::optional<SessionStart> start;  // nullopt: not asked for, or unreadable
};
// Returns the directory of the mirror that the session is in, which pi names after the one that it
// was started in: "--home-will-code--". Empty: the session is not in a directory.
std::string_view projectOf(const ListedSession& session);

struct SessionsOfSpoke {
  const SpokeConfig* spoke;
  std::vector<ListedSession> sessions;  // the latest first
  size_t total = 0;                     // of all in the mirror
};
struct SessionFilter {
  int64_t since = INT64_MIN;  // changed then or later, ns since the epoch
  std::string project;        // part of the project's name, or of the path that it is made from
  bool starts = false;        // fill in ListedSession::start
};
// Returns the sessions in these spokes' mirrors. Reads only the beginning of each file that is
// listed, and only if `filter.starts` is set. `warn` receives what cannot be read.
std::vector<SessionsOfSpoke> listSessions(const std::vector<const SpokeConfig*>& spokes,
                                          const SessionFilter& filter,
                                          const std::function<void(const std::string&)>& warn);
std::string sessionListJson(const std::vector<SessionsOfSpoke>& all, bool fullPaths);

// A line of `sync watch --json`.
struct WatchLine {
  std::string spoke;
  int64_t time = 0;   // ns since the epoch
  std::string event;  // as in report.capnp
  std::string why;
  const LiveChange* change = nullptr;  // null: the event is not a change
  std::optional<Failure> failure;
};
std::string watchJson(const WatchLine& line);

// A row of `spoke list`: what is known about a spoke, its agent, if it has one, and its key.
struct SpokeRow {
  const SpokeConfig* spoke;
  std::optional<Store::Contact> contact;
  std::string key;                        // the key's path; empty: unknown
  std::string fingerprint;                // the key's
  std::optional<std::string> keyProblem;  // why no login with it works, to follow its path
};
std::string spokeListJson(const std::vector<SpokeRow>& rows);

}  // namespace pibrain
