#pragma once
// What is remembered in sync.db: the history of runs, which files a mirror keeps although the spoke
// deleted them, and where the spokes were reached. Losing it loses the history and costs one
// listing, nothing else; so its errors are warnings, and a damaged one is begun anew (database.h).

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

class Store {
 public:
  // Told what became of a damaged database; called by any thread that uses the store, at most once.
  using Warn = std::function<void(const std::string&)>;

  // Opens or creates `directory`/sync.db (directory 0700, file 0600).
  static absl::StatusOr<std::unique_ptr<Store>> open(const std::string& directory, Warn warn);
  // For those who only look: creates nothing, and is null if there is none.
  static absl::StatusOr<std::unique_ptr<Store>> openExisting(const std::string& directory,
                                                             Warn warn);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // All calls may come from any thread.

  absl::Status recordRun(const SpokeReport& report);

  struct LastRun {
    int64_t started, finished;  // ns since the epoch
    uint64_t wire;              // bytes, both ways
    uint32_t files;             // on the spoke
  };
  // Of a spoke that is synced by a schedule, ns.
  static constexpr int64_t STALE_AFTER = int64_t(2) * 86400 * 1'000'000'000;

  struct LastRuns {
    std::optional<int64_t> lastGood;  // ns since the epoch: when it finished
    std::optional<int64_t> lastGoodStarted;
    std::optional<Failure> lastFailure;  // of the latest run; null: that was good

    // The same in one line, or empty.
    std::string lastError() const { return lastFailure ? lastFailure->what() : ""; }
    // Whether the last good run, if there was one, is longer ago than anybody would want.
    bool isStale(int64_t now) const { return lastGood && now - *lastGood > STALE_AFTER; }
    std::optional<LastRun> last;  // the latest, good or not
    uint64_t failed = 0;          // how many failed, of those that are remembered
  };
  absl::StatusOr<LastRuns> lastRuns(const std::string& spoke);

  // What an agent said of itself, and when (ns since the epoch). Runs note it, too.
  struct Contact {
    std::string version, sandbox;
    int64_t at = 0;
  };
  std::optional<Contact> lastContact(const std::string& spoke);
  absl::Status setLastContact(const std::string& spoke, const Contact& contact);

  // All that is known of `from`, the history too, is of `to` from now on; what is known of `to`
  // already stays.
  absl::Status renameSpoke(const std::string& from, const std::string& to);
  // Forgets all but the history of runs.
  absl::Status forgetSpoke(const std::string& spoke);

  // The latest runs of these spokes (none: of all), the latest first, at most `limit`.
  absl::StatusOr<std::vector<SpokeReport>> history(const std::vector<std::string>& spokes,
                                                   uint32_t limit);

  // Where the spoke was reached last; none if it never was.
  std::optional<Endpoint> lastEndpoint(const std::string& spoke);
  absl::Status setLastEndpoint(const std::string& spoke, const std::optional<Endpoint>& endpoint);

  // Why libssh2 could not connect to this server, by the text of whoever asks, within the last
  // week; none if it could, or was not asked to. `now`: ns since the epoch.
  std::optional<std::string> whyNotLibssh2(const std::string& spoke, const std::string& server,
                                           int64_t now);
  absl::Status setWhyNotLibssh2(const std::string& spoke, const std::string& server,
                                const std::string& reason, int64_t now);

  // What a program of this machine said of its version, and the file that it was then, as text.
  struct ProgramVersion {
    std::string state;
    std::string version;
  };
  std::optional<ProgramVersion> programVersion(const std::string& name);
  absl::Status setProgramVersion(const std::string& name, const ProgramVersion& program);

  // What was found out of the filesystem that a mirror is on, as text; none if it is another one
  // than `identity` says, or was never looked at.
  std::optional<std::string> filesystemTraits(const std::string& spoke,
                                              const std::string& identity);
  absl::Status setFilesystemTraits(const std::string& spoke, const std::string& identity,
                                   const std::string& traits);

  // Files that the last run could not sync, which the next one tries last. Paths relative to the
  // mirror.
  absl::StatusOr<std::vector<std::string>> failedFiles(const std::string& spoke);
  absl::Status setFailedFiles(const std::string& spoke, const std::vector<std::string>& paths);

  // A directory of the spoke of which files are left out by `exclude` in the config: its digests
  // without these (0: no other file is in it) and with them.
  struct LeftOutOf {
    std::string path;  // relative to the mirror
    uint64_t ours, theirs;
  };
  // Those that were noted with these very patterns.
  absl::StatusOr<std::vector<LeftOutOf>> leftOut(const std::string& spoke,
                                                 const std::vector<std::string>& patterns);
  absl::Status setLeftOut(const std::string& spoke, const std::vector<std::string>& patterns,
                          const std::vector<LeftOutOf>& directories);

  // Paths relative to the mirror.
  absl::StatusOr<std::vector<std::string>> keptFiles(const std::string& spoke);
  absl::Status setKeptFiles(const std::string& spoke, const std::vector<std::string>& paths);

 private:
  explicit Store(std::unique_ptr<Database> database);

  const std::unique_ptr<Database> database_;
};

}  // namespace pibrain
