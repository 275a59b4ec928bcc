#include "hub/rsync/sync.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "common/file-io.h"
#include "common/text.h"
#include "hub/failure.h"
#include "hub/files.h"
#include "hub/rsync/process.h"
#include "hub/sync/archive-catalog.h"
#include "hub/sync/deletion.h"
#include "hub/sync/explain.h"
#include "hub/sync/mirror.h"

namespace pibrain {

namespace {

constexpr int VANISHED = 24;  // rsync(1): source files vanished before they could be transferred

using Kind = RsyncOutput::Kind;

// Whether the file `path` beneath `whole` begins with all that is in `part` of that size.
bool extends(int part, uint64_t size, const RootedDir& whole, const std::string& path) {
  auto opened = whole.open(path, O_RDONLY);
  struct stat st;
  bool possible = opened.error == 0 && fstat(opened.fd, &st) == 0 && S_ISREG(st.st_mode) &&
                  uint64_t(st.st_size) >= size;
  if (!possible) return false;
  FileHasher old, now;
  return hashPrefix(part, size, old) == size && hashPrefix(opened.fd, size, now) == size &&
         old.digest() == now.digest();
}

class RsyncSync {
 public:
  RsyncSync(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
            SpokeReport& report, Progress& progress)
      : config_(config),
        spoke_(spoke),
        options_(options),
        report_(report),
        progress_(progress),
        shell_(remoteShell()),
        backup_(absl::StrCat(config.hub.archiveDir, "/", spoke.name, "/",
                             archiveRunName(report.started))) {}

  void run() {
    deleting_ = options_.deleteGone || spoke_.deleteGone;
    Mirror mirror(spoke_.path, options_.dryRun ? Mirror::Access::READ : Mirror::Access::WRITE,
                  archive());
    lookAt(mirror);
    if (options_.dryRun) {
      preview();
    } else {
      change(mirror, {});
    }
  }

  void verify(Verification& result, bool repair) {
    Mirror mirror(spoke_.path, repair ? Mirror::Access::WRITE : Mirror::Access::READ, archive());
    lookAt(mirror);
    auto look = rsync({"--dry-run", "--checksum", "--delete"}, -1);
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
    change(mirror, {"--checksum"});
    result.repaired = true;
  }

 private:
  Archive archive() const { return Archive(config_.hub.archiveDir, spoke_.name, report_.started); }

  void lookAt(Mirror& mirror) {
    before_ = mirror.walk();
    requireReadable(spoke_, before_, report_.warnings);
    for (auto& directory : before_.directories) {
      for (auto& file : directory.files) sizes_.emplace(directory.pathOf(file), file.size);
    }
  }

  void preview() {
    std::vector<std::string> options{"--dry-run"};
    if (deleting_) options.push_back("--delete");
    auto ran = rsync(options, -1);
    requireGood(ran);
    take(ran);
    note(ran);
    if (!deleting_) return;
    auto refusal = whyNotDelete(spoke_, report_.counts.deleted, before_.files, ran.output.files,
                                options_.maxDelete);
    if (!refusal.empty()) throw Failure(refusal);
  }

  void change(Mirror& mirror, std::vector<std::string> options) {
    mirror.clearStaging();
    auto made = makeDirectories(backup_);
    if (made.ok()) made = makeDirectories(staging());
    if (!made.ok()) throw Failure(std::string(made.message()));
    RsyncRun ran;
    {
      KJ_DEFER({
        tidyBackup();
        mirror.clearStaging();
      });
      options.insert(options.end(),
                     {"--backup", "--backup-dir=" + backup_, "--temp-dir=" + staging()});
      ran = rsync(options, mirror.lockFd());
    }
    take(ran);
    std::string refusal;
    bool good = goodEnd(ran);
    if (good && deleting_) refusal = deleteGone(mirror);
    if (!report_.changes.empty()) mirror.finish();
    expire();
    requireGood(ran);
    note(ran);
    if (!refusal.empty()) throw Failure(refusal + ". All else was synced.");
  }

  // Moves what is gone on the spoke to the archive, as a second look by rsync finds it. Returns why
  // it does not (P5); empty if it does.
  std::string deleteGone(Mirror& mirror) {
    auto look = rsync({"--dry-run", "--delete"}, mirror.lockFd());
    if (look.exitStatus != 0 || !look.output.ended) {
      return "nothing was deleted, because the spoke could not be read whole";
    }
    std::vector<std::string> gone;
    for (auto& item : look.output.items()) {
      if (item.kind == Kind::DELETED) gone.push_back(item.path);
    }
    auto refusal = whyNotDelete(spoke_, gone.size(), mirror.walk().files, look.output.files,
                                options_.maxDelete);
    if (!refusal.empty()) return refusal;
    for (auto& path : gone) {
      if (!mirror.archiveFile(path)) continue;
      ++report_.counts.deleted;
      report_.changes.push_back({ChangeKind::DELETE, path, "", sizeBefore(path)});
    }
    return "";
  }

  static bool goodEnd(const RsyncRun& ran) {
    return (ran.exitStatus == 0 || ran.exitStatus == VANISHED) && ran.output.ended;
  }

  void requireGood(const RsyncRun& ran) const {
    if (goodEnd(ran)) return;
    if (ran.exitStatus == 0)
      throw Failure("rsync did not say what it did, so nothing can be said of it");
    throw Failure(explainRsync(spoke_, ran));
  }

  std::string staging() const {
    return absl::StrCat(spoke_.path, "/", std::string(Mirror::STAGING));
  }

  RsyncRun rsync(const std::vector<std::string>& more, int held) {
    auto ran = runRsync(arguments(more), held, progress_);
    report_.wire.up += ran.output.bytesSent;
    report_.wire.down += ran.output.bytesReceived;
    return ran;
  }

  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"-az", absl::StrCat("--exclude=/", std::string(Mirror::STAGING))};
    all.insert(all.end(), spoke_.extraArgs.begin(), spoke_.extraArgs.end());
    // After those, so that these hold. P2: private, regular files of ours; P3: whole ones, and a
    // rewrite within a second is seen; and what the report is made of.
    all.insert(
        all.end(),
        {"--no-links", "--no-D", "--no-owner", "--no-group", "--no-partial", "--modify-window=-1",
         spoke_.keepModes ? "--chmod=u-s,g-s,-t,Du+rwx,Fu+rw" : "--chmod=D700,F600", "--stats",
         "--info=progress2", "--no-human-readable",
         absl::StrCat("--out-format=", RsyncOutput::OUT_FORMAT),
         absl::StrCat("--timeout=", spoke_.timeoutSeconds)});
    uint32_t limit = options_.rsyncBwLimit > 0 ? options_.rsyncBwLimit : spoke_.bwLimit;
    if (limit > 0) all.push_back(absl::StrCat("--bwlimit=", limit));
    if (!spoke_.source.host.empty()) all.push_back("--rsh=" + shell_);
    all.insert(all.end(), more.begin(), more.end());
    all.insert(all.end(), {"--", withSlash(source()), withSlash(spoke_.path)});
    return all;
  }

  // ssh as rsync is to start it.
  std::string remoteShell() const {
    if (spoke_.source.host.empty()) return "";
    auto target = resolveSsh(sshRequestOf(spoke_));
    if (!target.ok()) throw Failure(std::string(target.status().message()));
    auto shell = absl::StrCat("ssh -o ConnectTimeout=", target->connectTimeout);
    // rsync(1), --rsh: quotes as a shell has them, but a doubled one stands for itself.
    auto add = [&](const char* option, const std::string& value) {
      if (value.empty()) return;
      absl::StrAppend(&shell, " ", option, " '", absl::StrReplaceAll(value, {{"'", "''"}}), "'");
    };
    // As addHostKeyOptions() has it.
    if (target->acceptNewHostKeys) absl::StrAppend(&shell, " -o StrictHostKeyChecking=accept-new");
    add("-F", spoke_.sshConfig);
    add("-o IdentitiesOnly=yes -o IdentityAgent=none -i", spoke_.key);
    return shell;
  }

  static std::string withSlash(const std::string& path) {
    return path.ends_with('/') ? path : path + "/";
  }

  std::string source() const {
    return spoke_.source.host.empty() ? expandHome(spoke_.source.path) : spoke_.sourceText;
  }

  // Fills the report with what was changed, or would be.
  void take(const RsyncRun& ran) {
    for (auto& item : ran.output.items()) {
      uint64_t before = sizeBefore(item.path);
      Change change{kindOf(item, before), item.path, "", item.size};
      if (item.kind == Kind::DELETED) change.size = before;
      if (change.kind == ChangeKind::GROW) change.added = item.size - before;
      report_.bytesGrown += change.added;
      countChange(change.kind, report_.counts);
      report_.changes.push_back(std::move(change));
    }
    report_.counts.files = ran.output.files;
    report_.bytesLiteral = ran.output.bytesLiteral;
  }

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
      report_.warnings.push_back(
          absl::StrCat("symlinks and special files were skipped: ", ran.output.skipped));
    }
    if (ran.exitStatus == VANISHED) {
      report_.warnings.push_back(
          "some files went away while they were read; the next run sees what became of them");
    }
  }

  // rsync keeps each version that it replaces or deletes. Of a file that grew, the mirror still has
  // the old one: it is the beginning of the new.
  void tidyBackup() {
    kj::AutoCloseFd backup(open(backup_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    kj::AutoCloseFd mirror(open(spoke_.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (backup.get() < 0 || mirror.get() < 0) return;
    RootedDir kept(kj::mv(backup)), now(kj::mv(mirror));
    for (auto& directory : walkTree(kept.fd()).directories) {
      for (auto& file : directory.files) {
        auto path = directory.pathOf(file);
        bool grew = false;
        // What cannot be read stays.
        kj::runCatchingExceptions([&]() {
          auto opened = kept.open(path, O_RDONLY);
          grew = opened.error == 0 && extends(opened.fd, file.size, now, path);
        });
        if (grew) {
          unlinkat(kept.fd(), path.c_str(), 0);
        } else {
          rewritten_.insert(path);
        }
      }
    }
    removeEmptyDirectories(backup_);
  }

  // The directory and those in it, as far as they are empty.
  static void removeEmptyDirectories(const std::string& path) {
    std::error_code ignored;
    for (std::filesystem::directory_iterator entry(path, ignored), end; entry != end;
         entry.increment(ignored)) {
      if (entry->is_directory(ignored) && !entry->is_symlink(ignored)) {
        removeEmptyDirectories(entry->path());
      }
    }
    if (rmdir(path.c_str()) == 0) rmdir(std::string(parentOf(path)).c_str());
  }

  void expire() {
    // The spoke's clock is not known. Its newest file shows where it was: one of ours that is years
    // ahead must not empty the archive.
    int64_t newest = 0;
    for (auto& directory : before_.directories) {
      for (auto& file : directory.files) newest = std::max(newest, file.mtime);
    }
    auto expired = expireArchive(config_.hub.archiveDir, spoke_.name, config_.hub.archiveDays,
                                 std::min(report_.started, newest));
    if (!expired.ok()) report_.warnings.push_back(std::string(expired.message()));
  }

  const Config& config_;
  const SpokeConfig& spoke_;
  const RunOptions& options_;
  SpokeReport& report_;
  Progress& progress_;
  bool deleting_ = false;
  const std::string shell_;   // empty: the source is on this machine
  const std::string backup_;  // where rsync puts what it replaces: this run's place in the archive
  Tree before_;
  std::unordered_map<std::string, uint64_t> sizes_;  // of the files in it
  std::unordered_set<std::string> rewritten_;        // whose old versions are in the archive now
};

}  // namespace

void syncByRsync(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 SpokeReport& report, Progress& progress) {
  RsyncSync(config, spoke, options, report, progress).run();
}

void verifyByRsync(const Config& config, const SpokeConfig& spoke, bool repair,
                   Verification& result) {
  Progress unseen;
  RsyncSync(config, spoke, RunOptions(), result.report, unseen).verify(result, repair);
}

}  // namespace pibrain
