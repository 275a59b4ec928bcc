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
  if (opened.error != 0 || fstat(opened.fd, &st) != 0 || uint64_t(st.st_size) < size) return false;
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
        backup_(absl::StrCat(config.hub.archiveDir, "/", spoke.name, "/",
                             archiveRunName(report.started))) {}

  void run() {
    Mirror mirror(spoke_.path, options_.dryRun ? Mirror::Access::READ : Mirror::Access::WRITE,
                  Archive(config_.hub.archiveDir, spoke_.name, report_.started));
    before_ = mirror.walk();
    requireReadable(spoke_, before_);
    // What would be deleted is counted before anything is (P5).
    std::string refusal;
    if (deleting()) {
      auto preview = rsync({"--dry-run", "--delete"});
      refusal = whyNot(preview.output);
      if (options_.dryRun) {
        take(preview);
        note(preview);
        if (!refusal.empty()) throw Failure(refusal);
        return;
      }
    } else if (options_.dryRun) {
      auto preview = rsync({"--dry-run"});
      take(preview);
      return note(preview);
    }
    change(mirror, refusal);
  }

 private:
  bool deleting() const { return options_.deleteGone || spoke_.deleteGone; }

  void change(Mirror& mirror, const std::string& refusal) {
    mirror.clearStaging();
    auto made = makeDirectories(backup_);
    if (!made.ok()) throw Failure(absl::StrCat("in the archive: ", std::string(made.message())));
    std::vector<std::string> options{"--backup", "--backup-dir=" + backup_};
    if (deleting() && refusal.empty()) options.push_back("--delete");
    RsyncRun ran;
    {
      KJ_DEFER(tidyBackup());
      ran = rsync(options, false);
    }
    take(ran);
    if (!report_.changes.empty()) mirror.flush();
    expire();
    if (ran.exitStatus != 0 && ran.exitStatus != VANISHED) {
      throw Failure(explainRsync(spoke_, ran));
    }
    note(ran);
    if (!refusal.empty()) throw Failure(refusal + ". All else was synced.");
  }

  // Runs rsync with these options besides those of every run. If `strict`, throws Failure when it
  // failed.
  RsyncRun rsync(const std::vector<std::string>& more, bool strict = true) {
    progress_.phase = Progress::Phase::COMPARING;
    auto ran = runRsync(arguments(more), progress_);
    report_.wire.up += ran.output.bytesSent;
    report_.wire.down += ran.output.bytesReceived;
    if (strict && ran.exitStatus != 0 && ran.exitStatus != VANISHED) {
      throw Failure(explainRsync(spoke_, ran));
    }
    return ran;
  }

  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"-az"};
    // P2: private, regular files of ours.
    all.insert(all.end(), {"--no-links", "--no-D", "--no-owner", "--no-group"});
    if (!spoke_.keepModes) all.push_back("--chmod=D700,F600");
    all.insert(all.end(), spoke_.extraArgs.begin(), spoke_.extraArgs.end());
    // After those, so that they hold: what our report is made of, and what protects the mirror.
    all.insert(all.end(), {"--stats", "--no-human-readable",
                           absl::StrCat("--out-format=", RsyncOutput::OUT_FORMAT),
                           absl::StrCat("--exclude=/", std::string(Mirror::STAGING)),
                           absl::StrCat("--timeout=", spoke_.timeoutSeconds)});
    uint32_t limit = options_.rsyncBwLimit > 0 ? options_.rsyncBwLimit : spoke_.bwLimit;
    if (limit > 0) all.push_back(absl::StrCat("--bwlimit=", limit));
    if (!spoke_.sshConfig.empty()) {
      // rsync(1), --rsh: quotes as a shell has them, but a doubled one stands for itself.
      all.push_back(absl::StrCat("--rsh=ssh -F '",
                                 absl::StrReplaceAll(spoke_.sshConfig, {{"'", "''"}}), "'"));
    }
    all.insert(all.end(), more.begin(), more.end());
    all.insert(all.end(), {"--", withSlash(source()), withSlash(spoke_.path)});
    return all;
  }

  static std::string withSlash(const std::string& path) {
    return path.ends_with('/') ? path : path + "/";
  }

  std::string source() const {
    return spoke_.source.host.empty() ? expandHome(spoke_.source.path) : spoke_.sourceText;
  }

  std::string whyNot(const RsyncOutput& output) const {
    auto gone = uint64_t(std::count_if(output.items().begin(), output.items().end(),
                                       [](auto& item) { return item.kind == Kind::DELETED; }));
    return whyNotDelete(spoke_, gone, before_.files, output.files, options_.maxDelete);
  }

  // Fills the report with what was changed, or would be.
  void take(const RsyncRun& ran) {
    std::unordered_map<std::string, uint64_t> sizes;
    for (auto& directory : before_.directories) {
      for (auto& file : directory.files) sizes.emplace(directory.pathOf(file), file.size);
    }
    for (auto& item : ran.output.items()) {
      auto found = sizes.find(item.path);
      uint64_t before = found == sizes.end() ? 0 : found->second;
      Change change{kindOf(item, before), item.path, "", item.size};
      if (item.kind == Kind::DELETED) change.size = before;
      if (change.kind == ChangeKind::GROW) report_.bytesGrown += item.size - before;
      countChange(change.kind, report_.counts);
      report_.changes.push_back(std::move(change));
    }
    report_.counts.files = ran.output.files;
    report_.bytesLiteral = ran.output.bytesLiteral;
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
        auto opened = kept.open(path, O_RDONLY);
        if (opened.error == 0 && extends(opened.fd, file.size, now, path)) {
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
  const std::string backup_;  // where rsync puts what it replaces: this run's place in the archive
  Tree before_;
  std::unordered_set<std::string> rewritten_;  // whose old versions are in the archive now
};

}  // namespace

void syncByRsync(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 SpokeReport& report, Progress& progress) {
  RsyncSync(config, spoke, options, report, progress).run();
}

}  // namespace pibrain
