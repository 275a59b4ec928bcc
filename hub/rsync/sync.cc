#include "hub/rsync/sync.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "common/fs/file-times.h"
#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/mirror/deletion.h"
#include "hub/mirror/open-mirror.h"
#include "hub/mirror/readable.h"
#include "hub/rsync/command.h"
#include "hub/rsync/explain.h"
#include "hub/rsync/folding.h"
#include "hub/rsync/name-list.h"
#include "hub/rsync/replaced.h"
#include "hub/rsync/room.h"

namespace pibrain {

namespace {

using Kind = RsyncOutput::Kind;

// A file's time that is later than the clocks by more than this is no clock.
constexpr int64_t DAY = 86'400'000'000'000;  // ns
constexpr size_t MAX_DESCRIBED = 5;
// So often rsync runs again without what could not be written. Each time all that has no room
// either is left out, so this is for disks that fail in other ways.
constexpr int MAX_ROUNDS = 20;
// What can be left out by name: the system limits a command line to 2 MiB or so.
constexpr size_t MAX_LEFT_OUT = 512 * 1024;

class RsyncSync {
 public:
  RsyncSync(const Config& config, const SpokeConfig& spoke, const RunOptions& options, Store* store,
            SpokeReport& report, Progress& progress)
      : config_(config),
        spoke_(spoke),
        options_(options),
        store_(store),
        report_(report),
        command_(spoke, options, report, progress),
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
    readFromDisk(mirror);  // it is the disk that is in question
    auto options = lookingForGone();
    options.push_back("--checksum");
    auto look = rsync(options, -1);
    requireGood(look);
    note(look);
    result.files = look.output.files;
    result.bytes = look.output.bytes;
    for (auto& item : look.output.items()) {
      if (item.kind == Kind::DELETED) ++result.extra;
      if (item.kind != Kind::NEW && item.kind != Kind::CHANGED) continue;
      Difference difference{Difference::Kind::CONTENT, item.path, item.size, sizeBefore(item.path)};
      if (item.unlike) difference.kind = Difference::Kind::CHANGED;
      if (item.kind == Kind::NEW) {
        difference.kind = Difference::Kind::MISSING;
        --result.files;
        result.bytes -= item.size;
      }
      result.differences.push_back(std::move(difference));
    }
    std::sort(result.differences.begin(), result.differences.end(),
              [](auto& a, auto& b) { return a.path < b.path; });
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
    grain_ = mirror.traits().times.grain;
    lookAt(mirror);
    requireReadable(spoke_, before_, report_.warnings);
    if (mirror.traits().foldsNames || mirror.traits().changesNames)
      lookForFolding(mirror, mayChange);
    if (store_ == nullptr) return;
    auto failed = store_->failedFiles(spoke_.name);
    if (failed.ok()) failedBefore_.insert(failed->begin(), failed->end());
  }

  void lookAt(Mirror& mirror) {
    before_ = mirror.walk();
    sizes_.clear();
    for (auto& directory : before_.directories) {
      for (auto& file : directory.files) sizes_.emplace(directory.pathOf(file), file.size);
    }
  }

  // What is compared from now on is what the disk has.
  void readFromDisk(Mirror& mirror) const {
    for (auto& [path, size] : sizes_) {
      KJ_IF_MAYBE(file, mirror.openFile(path)) mirror.readFromDisk(*file);
    }
  }

  void preview() {
    auto ran = rsync(deleting_ ? lookingForGone() : std::vector<std::string>{"--dry-run"}, -1);
    requireGood(ran);
    take(ran);
    note(ran);
    if (!deleting_) return;
    lookForRespelled(before_);
    std::optional<Failure> refusal;
    for (auto& path : goneTwice(ran, -1, before_.files, refusal)) noteDeleted(path);
    report_.counts.failed = uint32_t(folded_.size());
    if (refusal) throw *refusal;
  }

  // What the mirror's filesystem takes for one name, before rsync does: it would write one file
  // over the other, and the next run the other over the one.
  void lookForFolding(Mirror& mirror, bool mayChange) {
    auto look = rsync({"--dry-run"}, mayChange ? mirror.lockFd() : -1,
                      staging() + "/a-directory-that-is-not-there");
    requireGood(look);
    std::set<std::string> ours;
    for (auto& item : look.output.items()) {
      bool reserved = folded(item.path.substr(0, item.path.find('/'))) == Mirror::STAGING;
      if (reserved) folded_.emplace(item.path, "the mirror uses this name itself");
      if (!reserved) onSpoke_.insert(item.path);
    }
    for (auto& path : onSpoke_) foldedOnSpoke_.insert(folded(path));
    for (auto& [path, size] : sizes_) ours.insert(path);
    std::optional<ScratchDirectory> scratch;
    if (mayChange) scratch.emplace(staging());
    auto folding = findFolding(onSpoke_, ours, [&](auto& names) {
      return foldedNames(names, scratch ? scratch->fd() : -1);
    });
    scratch.reset();
    for (auto& [path, other] : folding.refused) {
      folded_.emplace(path,
                      absl::StrCat("the mirror's filesystem takes its name for ", inQuotes(other),
                                   ", which the spoke has too. Rename one of them on the "
                                   "spoke, or move the mirror to a filesystem that tells "
                                   "them apart"));
    }
    if (!mayChange || folding.respelled.empty()) return;
    mirror.spokeHas([&](const std::string& path) { return isOnSpoke(path); });
    for (auto& [from, to] : folding.respelled) {
      try {
        mirror.move(from, to);
      } catch (const kj::Exception& e) {
        if (e.getType() != kj::Exception::Type::FAILED) throw;
        folded_.emplace(to, messageOf(e));
      }
    }
    lookAt(mirror);
  }

  // A file, or a directory that holds one.
  bool isOnSpoke(const std::string& path) const {
    if (onSpoke_.contains(path)) return true;
    auto below = onSpoke_.lower_bound(path + "/");
    return below != onSpoke_.end() && below->starts_with(path + "/");
  }

  void change(Mirror& mirror, std::vector<std::string> options) {
    // Content is on the disk before it has its name (P3).
    if (rsyncKnows("--fsync")) options.push_back("--fsync");
    lookAtClocks(mirror);
    mirror.noteEdits(before_);
    bool unclean = mirror.endedUncleanly();
    if (unclean) {
      // Size and time prove nothing.
      options.push_back("--checksum");
      readFromDisk(mirror);
      warn("the last run did not come to its end, so contents were compared");
    }
    dropGrown(replaced(), spoke_.path);
    mirror.handOver();
    options.insert(options.end(),
                   {"--backup", "--backup-dir=" + replaced(), "--temp-dir=" + staging()});
    auto runs = allButUnwritable(options, mirror.lockFd());
    rememberFailed();
    auto& ran = runs.back();
    bool good = goodEnd(ran);
    // Else there is no other name or content than before.
    if (unclean || !good || runs.size() > 1 || !ran.output.items().empty()) mirror.takeBack();
    rewritten_ = dropGrown(replaced(), spoke_.path);
    mirror.archiveReplaced();
    for (auto& one : runs) take(one);
    std::optional<Failure> refusal;
    if (good && deleting_) refusal = deleteGone(mirror);
    Mirror::Left left{{}, !good || ran.exitStatus == rsync_exit::VANISHED};
    for (auto& [path, why] : unwritten_) left.paths.insert(path);
    mirror.finish(left);
    expire();
    requireGood(ran);
    note(ran);
    requireAll(refusal);
  }

  // One file that cannot be written ends rsync: then it runs again for the others. What failed the
  // last time waits until these are there.
  std::vector<RsyncRun> allButUnwritable(const std::vector<std::string>& options, int held) {
    std::vector<RsyncRun> runs;
    last_ = failedBefore_;
    if (leftOutBytes() > MAX_LEFT_OUT) last_.clear();
    for (int rounds = 0;;) {
      runs.push_back(rsync(options, held));
      if (auto unwritten = unwrittenFile(runs.back(), spoke_.path)) {
        if (++rounds == MAX_ROUNDS || !leaveOut(*unwritten, held)) return runs;
      } else if (last_.empty() || !goodEnd(runs.back())) {
        return runs;
      } else {
        last_.clear();
      }
    }
  }

  // Leaves out what could not be written, and what cannot be written for the same reason. False if
  // that is nothing new.
  bool leaveOut(const Unwritten& unwritten, int held) {
    if (unwritten_.contains(unwritten.path)) return false;
    auto look = rsync({"--dry-run"}, held);
    std::vector<PendingFile> pending;
    if (goodEnd(look)) {
      for (auto& item : look.output.items()) {
        if (item.kind == Kind::NEW || item.kind == Kind::CHANGED) {
          pending.push_back({item.path, item.size});
        }
      }
    }
    auto without = withoutRoom(std::move(pending), unwritten, roomAt(spoke_.path));
    if (unwritten.error == ENOSPC || unwritten.error == EDQUOT) {
      roomRemedies_.insert({FailureId::DISK_FULL, makeRoom(spoke_.path)});
    }
    for (auto& path : without) unwritten_.emplace(path, unwritten.why);
    unwritten_.emplace(unwritten.path, unwritten.why);
    return leftOutBytes() <= MAX_LEFT_OUT;
  }

  size_t leftOutBytes() const {
    size_t bytes = 0;
    for (auto& path : leftOut()) bytes += path.size();
    return bytes;
  }

  std::set<std::string> leftOut() const {
    std::set<std::string> paths(last_.begin(), last_.end());
    for (auto* files : {&unwritten_, &folded_}) {
      for (auto& [path, why] : *files) paths.insert(path);
    }
    return paths;
  }

  void rememberFailed() {
    std::set<std::string> failed;
    for (auto& [path, why] : unwritten_) failed.insert(path);
    if (store_ == nullptr || failed == failedBefore_) return;
    (void)store_->setFailedFiles(spoke_.name, {failed.begin(), failed.end()});
  }

  // Moves what is gone on the spoke to the archive. Returns why it does not (P5); null if it does.
  std::optional<Failure> deleteGone(Mirror& mirror) {
    auto now = mirror.walk();
    auto mirrored = now.files;
    lookForRespelled(now);
    std::optional<Failure> refusal;
    auto first = rsync(lookingForGone(), mirror.lockFd());
    auto deletion = archiveGone(mirror, goneTwice(first, mirror.lockFd(), mirrored, refusal));
    undeleted_ = std::move(deletion.failed);
    for (auto& path : deletion.archived) noteDeleted(path);
    for (auto& one : deletion.uncommitted) {
      if (one.remedy) remedies_.insert(*one.remedy);
    }
    Mirror::requireOfSingleFiles(deletion.uncommitted);
    return refusal;
  }

  std::vector<std::string> lookingForGone() const {
    std::vector<std::string> options{"--dry-run", "--delete"};
    // What cannot be read in the mirror is not for rsync to stumble over.
    for (auto& problem : before_.problems) {
      options.push_back("--filter=P " + filterFor(problem.path) + "/");
    }
    return options;
  }

  // What the spoke did not have at two looks, of which the second begins when the first has ended,
  // nor has by name: in a look alone a file may be missing that moved, or was replaced, meanwhile.
  // The mirror's directories have the times that the spoke's had when rsync ran; if one differs
  // now, what is gone may be in it. `refusal` becomes why nothing may go, if so.
  std::vector<std::string> goneTwice(const RsyncRun& first, int held, uint64_t mirrored,
                                     std::optional<Failure>& refusal) {
    auto once = goneAt(first, mirrored, refusal);
    if (once.empty()) return {};
    auto look = rsync(lookingForGone(), held);
    auto second = goneAt(look, mirrored, refusal);
    std::unordered_set<std::string> again(second.begin(), second.end());
    std::erase_if(once, [&](auto& path) { return !again.contains(path) || mayBeOnSpoke(path); });
    if (once.empty()) return {};
    if (!options_.dryRun && !look.output.directories().empty()) {
      warn(
          "nothing was deleted, because files came, went or were renamed on the spoke meanwhile; a "
          "later run does it");
      return {};
    }
    auto there = thereByName(once, held, refusal);
    if (refusal) return {};
    std::erase_if(once, [&](auto& path) { return there.contains(path); });
    return once;
  }

  // By another spelling, or under the name of what could not be written here.
  bool mayBeOnSpoke(const std::string& path) const {
    if (foldedOnSpoke_.contains(folded(path))) return true;
    if (respelled_ && !isAscii(path)) return true;
    return std::any_of(unwritten_.begin(), unwritten_.end(),
                       [&](auto& one) { return baseNameOf(one.first) == baseNameOf(path); });
  }

  // Whether the mirror has a file of the spoke's by another spelling, in which it is not ASCII: the
  // filesystem does not say by which.
  void lookForRespelled(const Tree& mirror) {
    std::unordered_set<std::string> ours;
    if (onSpoke_.empty()) return;
    for (auto& directory : mirror.directories) {
      for (auto& file : directory.files) ours.insert(directory.pathOf(file));
    }
    respelled_ = std::any_of(onSpoke_.begin(), onSpoke_.end(), [&](auto& path) {
      return !isAscii(path) && !ours.contains(path) &&
             access((spoke_.path + "/" + path).c_str(), F_OK) == 0;
    });
  }

  static bool saysNotADirectory(const RsyncRun& run) {
    std::vector<std::string> lines = absl::StrSplit(run.errors, '\n', absl::SkipEmpty());
    return run.exitStatus == rsync_exit::PARTIAL &&
           std::all_of(lines.begin(), lines.end(), [](auto& line) {
             return line.starts_with("rsync error: ") || line.ends_with("Not a directory (20)");
           });
  }

  // Those of the files that are on the spoke. It looks for each, and reads no directory.
  std::unordered_set<std::string> thereByName(const std::vector<std::string>& paths, int held,
                                              std::optional<Failure>& refusal) {
    NameList names(paths);
    auto look = rsync({"--dry-run", "--ignore-times", "--ignore-missing-args", "--from0",
                       "--files-from=" + names.path()},
                      held);
    std::unordered_set<std::string> there;
    if (look.exitStatus == rsync_exit::VANISHED) return {paths.begin(), paths.end()};
    if (!look.output.ended || (look.exitStatus != 0 && !saysNotADirectory(look))) {
      refusal = notDeletedUnread("parts of the spoke");
    }
    for (auto& item : look.output.items()) there.insert(item.path);
    return there;
  }

  std::vector<std::string> goneAt(const RsyncRun& look, uint64_t mirrored,
                                  std::optional<Failure>& refusal) {
    std::vector<std::string> gone;
    // There is nothing to put right: a later run finds at rest what went away while it was read.
    if (look.exitStatus == rsync_exit::VANISHED && look.output.ended) return gone;
    if (look.exitStatus != 0 || !look.output.ended) {
      refusal = notDeletedUnread("parts of the spoke");
      return gone;
    }
    for (auto& item : look.output.items()) {
      if (item.kind == Kind::DELETED) gone.push_back(item.path);
    }
    refusal = whyNotDelete(spoke_, gone.size(), mirrored, look.output.files, options_.maxDelete);
    if (refusal) gone.clear();
    return gone;
  }

  static bool goodEnd(const RsyncRun& ran) {
    return (ran.exitStatus == 0 || ran.exitStatus == rsync_exit::VANISHED) && ran.output.ended;
  }

  void requireGood(const RsyncRun& ran) const {
    if (goodEnd(ran)) return;
    throw explainRsync(spoke_, command_.target(), ran);
  }

  // Throws, all in one, what kept this run from being a good one although rsync ended well.
  void requireAll(const std::optional<Failure>& refusal) {
    std::vector<Failure> wrong;
    auto add = [&](const std::map<std::string, std::string>& files, const char* what,
                   const std::set<Remedy>& remedies) {
      if (files.empty()) return;
      std::vector<std::string> some;
      for (auto& [path, why] : files) {
        if (some.size() < MAX_DESCRIBED)
          some.push_back(escapeBriefly(path) + ": " + elideMiddle(why, MAX_OWN_TEXT));
      }
      wrong.push_back(Failure(
          idOf(remedies), absl::StrCat(countOf(files.size(), "file"), " ", what),
          absl::StrCat(absl::StrJoin(some, "; "), files.size() > some.size() ? "; …" : "", "."),
          fixesOf(remedies)));
    };
    auto unwritten = folded_;
    unwritten.insert(unwritten_.begin(), unwritten_.end());
    add(unwritten, "could not be written on the hub", roomRemedies_);
    add(undeleted_, "gone on the spoke could not be moved to the archive", remedies_);
    report_.counts.failed = uint32_t(unwritten.size() + undeleted_.size());
    if (refusal) wrong.push_back(*refusal);
    if (!wrong.empty()) throw joined(std::move(wrong)).addCause("All else was synced.");
  }

  // Where rsync puts what it replaces. From there it goes to the archive, so that it is there or
  // here whatever happens.
  std::string replaced() const {
    return absl::StrCat(staging(), "/", std::string(Mirror::REPLACED));
  }

  std::string staging() const { return stagingOf(spoke_); }

  RsyncRun rsync(const std::vector<std::string>& more, int held, const std::string& to = "") {
    return command_.run(more, {leftOut(), grain_, held}, to.empty() ? spoke_.path : to);
  }

  // Fills the report with what was changed, or would be.
  void take(const RsyncRun& ran) {
    for (auto& item : ran.output.items()) {
      if (item.kind == Kind::DELETED || unwritten_.contains(item.path)) continue;
      if (!taken_.insert(item.path).second) continue;
      uint64_t before = sizeBefore(item.path);
      Change change{kindOf(item, before), item.path, "", item.size};
      if (change.kind == ChangeKind::GROW) change.added = item.size - before;
      report_.bytesGrown += change.added;
      countChange(change.kind, report_.counts);
      report_.changes.push_back(std::move(change));
    }
    report_.counts.files = ran.output.files + uint32_t(unwritten_.size() + folded_.size());
    report_.bytesLiteral += ran.output.bytesLiteral;
  }

  void noteDeleted(const std::string& path) {
    ++report_.counts.deleted;
    report_.changes.push_back({ChangeKind::DELETE, path, "", sizeBefore(path)});
  }

  void warn(std::string text) { report_.warnings.push_back(std::move(text)); }

  // Of the mirror's file, before this run; 0 if there was none.
  uint64_t sizeBefore(const std::string& path) const {
    auto found = sizes_.find(path);
    return found == sizes_.end() ? 0 : found->second;
  }

  ChangeKind kindOf(const RsyncOutput::Item& item, uint64_t before) const {
    switch (item.kind) {
      case Kind::NEW:
        return ChangeKind::NEW;
      case Kind::TOUCHED:
        return ChangeKind::TOUCH;
      case Kind::DELETED:
        return ChangeKind::DELETE;
      case Kind::CHANGED:
        break;
    }
    return item.size > before && !rewritten_.contains(item.path) ? ChangeKind::GROW
                                                                 : ChangeKind::REWRITE;
  }

  void note(const RsyncRun& ran) {
    if (ran.output.skipped > 0) {
      warn(absl::StrCat("symlinks and special files were skipped: ", ran.output.skipped));
    }
    if (ran.exitStatus == rsync_exit::VANISHED) {
      warn("some files went away while they were read; the next run sees what became of them");
    }
  }

  // The spoke's clock is not known. Its newest file shows where it was at least, but for files from
  // the future; and the mirror's directory, in which each run makes and removes something, where
  // the hub's own clock was at the last run, should it be behind now.
  void lookAtClocks(Mirror& mirror) {
    struct stat st;
    int64_t lastRun = fstat(mirror.lockFd(), &st) == 0 ? ctimeOf(st) : 0;
    mirror.archive().clockShows(lastRun);
    int64_t latest = std::max(report_.started, lastRun) + DAY;
    for (auto& directory : before_.directories) {
      for (auto& file : directory.files) {
        if (file.mtime <= latest) newest_ = std::max(newest_, file.mtime);
      }
    }
    mirror.archive().clockShows(newest_);
  }

  void expire() {
    // By both clocks: one of ours that is years ahead must not empty the archive.
    auto expired = expireArchive(config_.hub.archiveDir, spoke_.name, config_.hub.archiveDays,
                                 std::min(report_.started, newest_), agesFile_);
    if (!expired.ok()) warn(std::string(expired.message()));
  }

  const Config& config_;
  const SpokeConfig& spoke_;
  const RunOptions& options_;
  Store* store_;
  SpokeReport& report_;
  RsyncCommand command_;
  bool deleting_ = false;
  const std::string agesFile_;
  Tree before_;
  int64_t newest_ = 0;                               // the second clock, ns since the epoch
  std::unordered_map<std::string, uint64_t> sizes_;  // of the files in it
  std::unordered_set<std::string> rewritten_;        // whose old versions are in the archive now
  std::map<std::string, std::string> unwritten_, folded_, undeleted_;  // why, by path
  std::set<std::string> failedBefore_, last_;  // what the last run could not write, while it waits
  std::unordered_set<std::string> taken_;      // is in the report
  int64_t grain_ = 1;                          // ns, of the mirror's times
  bool respelled_ = false;         // some of its names are not ASCII, and not the spoke's
  std::set<std::string> onSpoke_;  // all of its files, if the mirror folds names
  std::unordered_set<std::string> foldedOnSpoke_;
  std::set<Remedy> roomRemedies_;  // what a person does for files that the mirror has no room for
  std::set<Remedy> remedies_;      // what a person does about those of them that want room
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
