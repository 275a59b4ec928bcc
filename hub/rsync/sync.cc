#include "hub/rsync/sync.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/failure.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/mirror/deletion.h"
#include "hub/mirror/open-mirror.h"
#include "hub/mirror/readable.h"
#include "hub/rsync/changes.h"
#include "hub/rsync/gone.h"
#include "hub/rsync/mirror-before.h"
#include "hub/rsync/replaced.h"
#include "hub/rsync/spoke-names.h"
#include "hub/rsync/spoke-rsync.h"
#include "hub/rsync/unwritable.h"

namespace pibrain {

namespace {

// A file whose time is later than the clocks by more than this does not serve as a clock.
constexpr int64_t DAY = 86'400'000'000'000;  // ns
constexpr size_t MAX_DESCRIBED = 5;

// The failure of single files; `files` say why, by path.
Failure failureOfFiles(const std::map<std::string, std::string>& files, const char* what,
                       const std::set<Remedy>& remedies) {
  std::vector<std::string> some;
  for (auto& [path, why] : files) {
    if (some.size() == MAX_DESCRIBED) break;
    some.push_back(escapeBriefly(path) + ": " + elideMiddle(why, MAX_OWN_TEXT));
  }
  return Failure(
      idOf(remedies), absl::StrCat(countOf(files.size(), "file"), " ", what),
      absl::StrCat(absl::StrJoin(some, "; "), files.size() > some.size() ? "; …" : "", "."),
      fixesOf(remedies));
}

class RsyncSync {
 public:
  RsyncSync(const Config& config, const SpokeConfig& spoke, const RunOptions& options, Store* store,
            SpokeReport& report, Progress& progress)
      : config_(config),
        spoke_(spoke),
        options_(options),
        store_(store),
        report_(report),
        rsync_(spoke, options, report, progress),
        unwritable_(spoke, store, rsync_),
        gone_(spoke, options, before_, names_, rsync_),
        changes_(before_, report),
        agesFile_(archiveAgesFile(config.hub.databaseDir, spoke.name)) {}

  void run() {
    deleting_ = options_.deleteGone || spoke_.deleteGone;
    auto mirror = open(!options_.dryRun);
    prepare(mirror, !options_.dryRun);
    if (options_.dryRun) {
      preview();
    } else {
      change(mirror, {});
    }
  }

  void verify(Verification& result, bool repair) {
    auto mirror = open(repair);
    prepare(mirror, repair);
    before_.dropFromCache(mirror);  // verifies the disk, not the cache
    auto options = gone_.lookOptions();
    options.push_back("--checksum");
    auto look = rsync_.run(options, -1);
    rsync_.requireGood(look);
    noteUnmirrored(look, report_);
    noteIfEmpty(look.output.files);
    addDifferences(look.output, before_, result);
    if (!repair || result.differences.empty()) return;
    mirror.archiveAs(ArchiveReason::REPAIRED);
    change(mirror, {"--checksum"});
    result.repaired = true;
  }

 private:
  Mirror open(bool writing) const {
    return openMirror(config_, spoke_, store_,
                      writing ? Mirror::Access::WRITE : Mirror::Access::READ, report_.started);
  }

  void prepare(Mirror& mirror, bool mayChange) {
    rsync_.grain = mirror.traits().times.grain;
    before_.read(mirror);
    requireReadable(spoke_, before_.tree(), report_.warnings);
    if (mirror.traits().foldsNames || mirror.traits().changesNames) {
      names_.look(mirror, rsync_, before_, mayChange);
    }
  }

  void preview() {
    auto look = deleting_ ? gone_.lookOptions() : std::vector<std::string>{"--dry-run"};
    auto ran = rsync_.run(look, -1);
    rsync_.requireGood(ran);
    changes_.add(ran, rsync_.leftOut, {});
    noteUnmirrored(ran, report_);
    noteIfEmpty(report_.counts.files);
    if (!deleting_) return;
    names_.lookForRespelled(before_.tree(), spoke_.path);
    auto gone = gone_.find(ran, -1, before_.tree().files);
    for (auto& path : gone.paths) changes_.addDeleted(path);
    report_.counts.failed = uint32_t(rsync_.leftOut.folded.size());
    if (gone.refusal) throw *gone.refusal;
  }

  void change(Mirror& mirror, std::vector<std::string> options) {
    // Flushes content before it gets its name (P3).
    if (rsyncKnows("--fsync")) options.push_back("--fsync");
    lookAtClocks(mirror);
    mirror.noteEdits(before_.tree());
    bool unclean = mirror.endedUncleanly();
    if (unclean) {
      // After an unclean end, size and time prove nothing.
      options.push_back("--checksum");
      before_.dropFromCache(mirror);
      warn("the last run was interrupted, so this one compared contents");
    }
    dropGrown(replaced(), spoke_.path);
    mirror.handOver();
    options.insert(options.end(),
                   {"--backup", "--backup-dir=" + replaced(), "--temp-dir=" + rsync_.staging()});
    auto runs = unwritable_.runForTheOthers(options, mirror.lockFd());
    auto& ran = runs.back();
    bool good = goodEnd(ran);
    // Otherwise neither names nor content changed.
    if (unclean || !good || runs.size() > 1 || !ran.output.items().empty()) mirror.takeBack();
    auto rewritten = dropGrown(replaced(), spoke_.path);
    mirror.archiveReplaced();
    for (auto& one : runs) changes_.add(one, rsync_.leftOut, rewritten);
    std::optional<Failure> refusal;
    if (good && deleting_) refusal = deleteGone(mirror);
    Mirror::Left left{{}, !good || ran.exitStatus == rsync_exit::VANISHED};
    for (auto& [path, why] : rsync_.leftOut.unwritten) left.paths.insert(path);
    mirror.finish(left);
    expire();
    rsync_.requireGood(ran);
    noteUnmirrored(ran, report_);
    noteIfEmpty(report_.counts.files);
    requireAll(refusal);
  }

  void noteIfEmpty(uint32_t filesOnSpoke) {
    auto mirrored = before_.tree().files;
    if (filesOnSpoke == 0 && mirrored > 0 && !options_.deleteGone) {
      warn(rootEmpty(spoke_.source.path, mirrored).what());
    }
  }

  // Moves files that are gone on the spoke to the archive. Returns why it does not (P5); nullopt:
  // it did.
  std::optional<Failure> deleteGone(Mirror& mirror) {
    auto now = mirror.walk();
    names_.lookForRespelled(now, spoke_.path);
    auto first = rsync_.run(gone_.lookOptions(), mirror.lockFd());
    auto gone = gone_.find(first, mirror.lockFd(), now.files);
    if (gone.restless) {
      warn(
          "nothing was deleted, because files appeared, disappeared or were renamed on the spoke "
          "meanwhile; a later run deletes them");
    }
    auto deletion = archiveGone(mirror, gone.paths);
    undeleted_ = std::move(deletion.failed);
    for (auto& path : deletion.archived) changes_.addDeleted(path);
    for (auto& one : deletion.uncommitted) {
      if (one.remedy) remedies_.insert(*one.remedy);
    }
    Mirror::requireOfSingleFiles(deletion.uncommitted);
    return gone.refusal;
  }

  // Throws one failure with everything that went wrong although rsync succeeded.
  void requireAll(const std::optional<Failure>& refusal) {
    std::vector<Failure> wrong;
    auto unwritten = rsync_.leftOut.folded;
    unwritten.insert(rsync_.leftOut.unwritten.begin(), rsync_.leftOut.unwritten.end());
    if (!unwritten.empty()) {
      wrong.push_back(
          failureOfFiles(unwritten, "could not be written on the hub", unwritable_.remedies()));
    }
    if (!undeleted_.empty()) {
      wrong.push_back(failureOfFiles(
          undeleted_, "gone on the spoke could not be moved to the archive", remedies_));
    }
    report_.counts.failed = uint32_t(unwritten.size() + undeleted_.size());
    if (refusal) wrong.push_back(*refusal);
    if (!wrong.empty()) throw joined(std::move(wrong)).addCause("Everything else was synced.");
  }

  // Returns the directory for files that rsync replaces. They move from there to the archive, so
  // that they are never lost.
  std::string replaced() const {
    return absl::StrCat(rsync_.staging(), "/", std::string(Mirror::REPLACED));
  }

  void warn(std::string text) { report_.warnings.push_back(std::move(text)); }

  // The spoke's clock is unknown, but its newest file is a lower bound, except for files from the
  // future. The time of the mirror's directory, which each run changes, shows the hub's clock at
  // the last run, in case it is behind now.
  void lookAtClocks(Mirror& mirror) {
    struct stat st;
    int64_t lastRun = fstat(mirror.lockFd(), &st) == 0 ? ctimeOf(st) : 0;
    mirror.archive().clockShows(lastRun);
    int64_t latest = std::max(report_.started, lastRun) + DAY;
    for (auto& directory : before_.tree().directories) {
      for (auto& file : directory.files) {
        if (file.mtime <= latest) newest_ = std::max(newest_, file.mtime);
      }
    }
    mirror.archive().clockShows(newest_);
  }

  void expire() {
    // By the earlier of both clocks, so that a hub's clock that is years ahead does not empty the
    // archive.
    auto expired = expireArchive(config_.hub.archiveDir, spoke_.name, config_.hub.archiveDays,
                                 std::min(report_.started, newest_), agesFile_);
    if (!expired.ok()) warn(std::string(expired.message()));
  }

  const Config& config_;
  const SpokeConfig& spoke_;
  const RunOptions& options_;
  Store* store_;
  SpokeReport& report_;
  MirrorBefore before_;
  SpokeNames names_;
  SpokeRsync rsync_;
  Unwritable unwritable_;
  GoneSearch gone_;
  ReportedChanges changes_;
  bool deleting_ = false;
  const std::string agesFile_;
  int64_t newest_ = 0;                            // the second clock, ns since the epoch
  std::map<std::string, std::string> undeleted_;  // why, by path
  std::set<Remedy> remedies_;                     // fixes for those without room in the archive
};

}  // namespace

void syncByRsync(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 Store* store, SpokeReport& report, Progress& progress) {
  RsyncSync(config, spoke, options, store, report, progress).run();
}

void verifyByRsync(const Config& config, const SpokeConfig& spoke, bool repair, Store* store,
                   Verification& result) {
  Progress unseen;
  RsyncSync(config, spoke, RunOptions(), store, result.report, unseen).verify(result, repair);
}

}  // namespace pibrain
