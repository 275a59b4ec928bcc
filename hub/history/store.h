#pragma once
// What sync.db remembers: the history of runs, the files that a mirror keeps although the spoke
// deleted them, and what runs learned about spokes, their addresses for example. Losing it loses
// the history and costs one full listing, so its errors are warnings, and a damaged database is
// replaced by a new one (database.h).

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/endpoint.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

class Database;

// Returns the beginning of the hour, ns since the epoch.
inline int64_t hourOf(int64_t time) {
  constexpr int64_t HOUR = 3'600'000'000'000;
  return time - (time % HOUR + HOUR) % HOUR;
}

class Store {
 public:
  // Receives a message about a damaged database; called in any thread that uses the store, at most
  // once.
  using Warn = std::function<void(const std::string&)>;

  // Opens or creates `directory`/sync.db (directory 0700, file 0600).
  static absl::StatusOr<std::unique_ptr<Store>> open(const std::string& directory, Warn warn);
  // Opens an existing sync.db as open() does; returns null if there is no sync.db.
  static absl::StatusOr<std::unique_ptr<Store>> openExisting(const std::string& directory,
                                                             Warn warn);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Any thread may call these functions.

  absl::Status recordRun(const SpokeReport& report);
  // Adds these totals to those of the hour in which `started` is, by the hub's clock.
  absl::Status addToLiveHour(const SpokeReport& totals);

  struct LastRun {
    int64_t started, finished;  // ns since the epoch
    uint64_t wire;              // bytes, both ways
    uint32_t files;             // on the spoke
  };
  // ns; a last good run that is older than this is stale.
  static constexpr int64_t STALE_AFTER = int64_t(2) * 86400 * 1'000'000'000;

  struct LastRuns {
    std::optional<int64_t> lastGood;  // when it finished, ns since the epoch
    std::optional<int64_t> lastGoodStarted;
    std::optional<Failure> lastFailure;  // of the latest run; nullopt: it succeeded

    // Returns lastFailure in one line, or empty.
    std::string lastError() const { return lastFailure ? lastFailure->what() : ""; }
    // Returns whether the last good run, if there was one, is too long ago.
    bool isStale(int64_t now) const { return lastGood && now - *lastGood > STALE_AFTER; }
    std::optional<LastRun> last;  // the latest run, good or failed
    uint64_t failed = 0;          // failed runs in the history
  };
  absl::StatusOr<LastRuns> lastRuns(const std::string& spoke);

  // What an agent said of itself, and when (ns since the epoch). Runs record it too.
  struct Contact {
    std::string version, sandbox;
    int64_t at = 0;
  };
  std::optional<Contact> lastContact(const std::string& spoke);
  absl::Status setLastContact(const std::string& spoke, const Contact& contact);

  // Moves all that is known of `from`, including its history, to `to`. What is already known of
  // `to` stays.
  absl::Status renameSpoke(const std::string& from, const std::string& to);
  // Forgets all about a spoke except the history of its runs.
  absl::Status forgetSpoke(const std::string& spoke);

  // Returns the latest runs of these spokes (empty: of all), and the hours of live mode, the latest
  // first, at most `limit`.
  absl::StatusOr<std::vector<SpokeReport>> history(const std::vector<std::string>& spokes,
                                                   uint32_t limit);

  // Returns the address where the spoke was reached last; nullopt if it never was.
  std::optional<Endpoint> lastEndpoint(const std::string& spoke);
  absl::Status setLastEndpoint(const std::string& spoke, const std::optional<Endpoint>& endpoint);

  // Returns why libssh2 could not connect to this server within the last week, in the words that
  // the caller recorded; nullopt: nothing is recorded. `now`: ns since the epoch.
  std::optional<std::string> whyNotLibssh2(const std::string& spoke, const std::string& server,
                                           int64_t now);
  absl::Status setWhyNotLibssh2(const std::string& spoke, const std::string& server,
                                const std::string& reason, int64_t now);

  // What a program on this machine said of its version, and the state of its file then, as text.
  struct ProgramVersion {
    std::string state;
    std::string version;
  };
  std::optional<ProgramVersion> programVersion(const std::string& name);
  absl::Status setProgramVersion(const std::string& name, const ProgramVersion& program);

  // Returns the traits of a mirror's filesystem, as text; nullopt if it was never probed, or is not
  // the one that `identity` names.
  std::optional<std::string> filesystemTraits(const std::string& spoke,
                                              const std::string& identity);
  absl::Status setFilesystemTraits(const std::string& spoke, const std::string& identity,
                                   const std::string& traits);

  // The files that the last run could not sync, which the next one tries last. Paths relative to
  // the mirror.
  absl::StatusOr<std::vector<std::string>> failedFiles(const std::string& spoke);
  absl::Status setFailedFiles(const std::string& spoke, const std::vector<std::string>& paths);

  // A directory of the spoke in which 'exclude' in the config leaves files out. `ours` is its
  // digest without these files (0: it has no others), `theirs` the one with them.
  struct LeftOutOf {
    std::string path;  // relative to the mirror
    uint64_t ours, theirs;
  };
  // Returns the directories that were recorded with exactly these patterns.
  absl::StatusOr<std::vector<LeftOutOf>> leftOut(const std::string& spoke,
                                                 const std::vector<std::string>& patterns);
  absl::Status setLeftOut(const std::string& spoke, const std::vector<std::string>& patterns,
                          const std::vector<LeftOutOf>& directories);

  // The files that the mirror keeps although the spoke deleted them. Paths relative to the mirror.
  absl::StatusOr<std::vector<std::string>> keptFiles(const std::string& spoke);
  absl::Status setKeptFiles(const std::string& spoke, const std::vector<std::string>& paths);

 private:
  explicit Store(std::unique_ptr<Database> database);

  const std::unique_ptr<Database> database_;
};

}  // namespace pibrain
