#include "hub/setup/manage.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/failure-status.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/user-files.h"
#include "hub/mirror/archive.h"
#include "hub/mirror/mirror.h"
#include "hub/mirror/rename.h"
#include "hub/setup/config-edit.h"
#include "hub/setup/preflight.h"
#include "hub/setup/rename-record.h"
#include "hub/setup/setup.h"
#include "hub/setup/spoke-keys.h"

namespace pibrain {

namespace {

constexpr const char* KEY_FILES[] = {"", ".pub", "-cert.pub"};

// Returns the path with this name in place of its last one.
std::string renamed(std::string path, const std::string& name) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path.substr(0, path.rfind('/') + 1) + name;
}

bool sameFile(const std::string& one, const std::string& other) {
  struct stat a, b;
  return lstat(one.c_str(), &a) == 0 && lstat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

void orThrowOfFile(const absl::Status& status) {
  if (!status.ok()) throw failureOf(status, FailureId::HUB_FILE_ERROR);
}

// A spoke's name is in the config, and in the names of its mirror, its archive and its key. The
// config changes in one instant. Before that, the mirror and the key can be found by their new
// names too, and after it by the old ones, until they are moved. So a run finds both whenever this
// is interrupted; the next `spoke rename`, of any spoke, completes it or undoes it.
class SpokeRenamer : public Setup {
 public:
  SpokeRenamer(const std::string& from, const ManageOptions& options, Store* store)
      : Setup(from, options, store) {}

  void rename(const std::string& from, const std::string& to) {
    requireName(to);
    auto config = parse(configText());
    auto alone = lockRenames(config);
    if (auto broken = RenameRecord::read(config.hub.databaseDir)) {
      if (settle(config, *broken) && broken->from == from && broken->to == to) return;
      if (!options_.dryRun) config = parse(configText());
    }
    auto& spoke = require(config, from, to);
    change_.outcome = from == to ? "unchanged" : "renamed";
    if (from == to) return;
    auto record = plan(config, spoke, to);
    auto edit = [&](const std::string& text) { return withName(text, spoke, record); };
    editedOrThrow(edit(configText()));
    tell(config, record);
    if (options_.dryRun) return;
    auto locked = lock(config, spoke.path, from);
    begin(config, record, edit);
    finish(config, record);
  }

 private:
  static const SpokeConfig& require(const Config& config, const std::string& from,
                                    const std::string& to) {
    auto file = escapeForTerminal(config.file);
    auto* spoke = findSpoke(config, from);
    if (spoke == nullptr) {
      throw Failure(FailureId::SPOKE_UNKNOWN,
                    absl::StrCat("there is no spoke '", escapeForTerminal(from), "' in ", file), "",
                    {{"List the spokes", ownCommand("spoke list")}});
    }
    if (from != to && findSpoke(config, to) != nullptr) {
      throw Failure(FailureId::SPOKE_EXISTS,
                    absl::StrCat("the config ", file, " has another spoke '", to, "'"), "",
                    {{"Choose another name", ""}});
    }
    return *spoke;
  }

  // Only one rename can run at a time, because there is one record.
  kj::AutoCloseFd lockRenames(const Config& config) const {
    if (options_.dryRun) return nullptr;
    orThrowOfFile(makeDirectories(config.hub.databaseDir));
    auto path = config.hub.databaseDir + "/renaming.lock";
    kj::AutoCloseFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (fd.get() >= 0 && flock(fd, LOCK_EX) == 0) return fd;
    throw Failure(FailureId::HUB_FILE_ERROR,
                  absl::StrCat("cannot lock ", escapeForTerminal(path), ": ", strerror(errno)));
  }

  // Locks the mirror, if there is one.
  static std::optional<Mirror> lock(const Config& config, const std::string& path,
                                    const std::string& name) {
    if (access(path.c_str(), F_OK) != 0) return std::nullopt;
    return Mirror(path, Mirror::Access::WRITE, Archive(config.hub.archiveDir, name, 0));
  }

  static RenameRecord plan(const Config& config, const SpokeConfig& spoke, const std::string& to) {
    RenameRecord record{spoke.name, to, "", "", "", ""};
    if (movesMirror(spoke)) {
      record.mirror = spoke.path;
      record.newMirror = renamed(spoke.path, to);
    }
    SpokeKeys own(config, spoke);
    if (own.contains(spoke.key) && !own.usedByOthers(spoke.key)) {
      auto after = spoke;
      after.name = to;
      record.key = spoke.key;
      record.newKey = SpokeKeys(config, after).next();
    }
    return record;
  }

  // Returns whether the mirror is named after the spoke, and neither a mount point nor Syncthing's.
  static bool movesMirror(const SpokeConfig& spoke) {
    std::filesystem::path path(spoke.path);
    struct stat mirror, parent;
    bool mounted = lstat(path.c_str(), &mirror) == 0 &&
                   stat(path.parent_path().c_str(), &parent) == 0 && mirror.st_dev != parent.st_dev;
    return path.filename() == spoke.name && spoke.method != SyncMethod::SYNCTHING && !mounted;
  }

  absl::StatusOr<std::string> withName(const std::string& text, const SpokeConfig& spoke,
                                       const RenameRecord& record) const {
    SpokeFields fields{{"name", record.to}};
    // Writes the path in the form that its owner used ("~/…"), if that means the same path.
    auto add = [&](const char* field, const std::string& path, std::string SpokeConfig::*member) {
      if (path.empty()) return;
      auto as = renamed(fieldOf(text, spoke.name, field), std::filesystem::path(path).filename());
      auto written = withFields(text, spoke.name, {{field, as}});
      auto parsed = written.ok() ? parseConfig(*written, options_.configFile) : written.status();
      auto* there = parsed.ok() ? findSpoke(*parsed, spoke.name) : nullptr;
      fields.push_back({field, there != nullptr && there->*member == path ? as : path});
    };
    add("path", record.newMirror, &SpokeConfig::path);
    add("key", record.newKey, &SpokeConfig::key);
    auto after = withFields(text, spoke.name, fields);
    if (!after.ok()) return after;
    auto good = parseConfig(*after, options_.configFile);
    return good.ok() ? after : absl::StatusOr<std::string>(good.status());
  }

  void tell(const Config& config, const RenameRecord& record) {
    auto line = [&](const char* what, const std::string& from, const std::string& to) {
      if (from.empty() || access(from.c_str(), F_OK) != 0) return;
      say(absl::StrCat(options_.dryRun ? "would move" : "moving", " the ", what, " ",
                       escapeForTerminal(from), " to ", escapeForTerminal(to)));
    };
    line("mirror", record.mirror, record.newMirror);
    line("archive", absl::StrCat(config.hub.archiveDir, "/", record.from),
         absl::StrCat(config.hub.archiveDir, "/", record.to));
    line("key", record.key, record.newKey);
    say(absl::StrCat(options_.dryRun ? "would rename" : "renaming", " the spoke to '", record.to,
                     "' in ", escapeForTerminal(options_.configFile)));
  }

  // Does everything up to the point at which the config has the new name.
  void begin(const Config& config, const RenameRecord& record,
             const std::function<absl::StatusOr<std::string>(const std::string&)>& edit) {
    orThrowOfFile(record.write(config.hub.databaseDir));
    try {
      if (!record.key.empty()) linkKey(record);
      if (hasMirror(record)) announceMirror(record.mirror, record.newMirror);
      orThrow(editFile(options_.configFile, edit));
    } catch (const Failure&) {
      takeBack(config, record);
      throw;
    }
  }

  // Does everything after that point.
  void finish(const Config& config, const RenameRecord& record) {
    if (!record.mirror.empty()) moveMirror(record.mirror, record.newMirror);
    renameArchive(config.hub.archiveDir, config.hub.databaseDir, record.from, record.to);
    if (store_ != nullptr) {
      auto renamed = store_->renameSpoke(record.from, record.to);
      if (!renamed.ok()) {
        say(absl::StrCat("the history stays under the old name: ", std::string(renamed.message())));
      }
    }
    for (auto* half : KEY_FILES) {
      if (!record.key.empty()) unlink((record.key + half).c_str());
    }
    RenameRecord::remove(config.hub.databaseDir);
  }

  static void takeBack(const Config& config, const RenameRecord& record) {
    if (!record.mirror.empty()) withdrawMirror(record.mirror, record.newMirror);
    for (auto* half : KEY_FILES) {
      if (sameFile(record.key + half, record.newKey + half)) unlink((record.newKey + half).c_str());
    }
    RenameRecord::remove(config.hub.databaseDir);
  }

  // Completes an interrupted rename, or undoes it. Returns whether it is complete.
  bool settle(const Config& config, const RenameRecord& record) {
    bool before = findSpoke(config, record.from) != nullptr;
    auto* after = findSpoke(config, record.to);
    auto which = absl::StrCat("the rename of '", record.from, "' to '", record.to,
                              "', which was interrupted");
    bool ends = after != nullptr && !before;
    if (options_.dryRun) {
      say(absl::StrCat("would first ", ends ? "finish " : "undo ", which));
      return false;
    }
    if (ends) {
      auto locked = lock(config, after->path, after->name);
      finish(config, record);
      change_.outcome = "renamed";
      say("finished " + which);
    } else if (after == nullptr) {
      takeBack(config, record);
      say("undid " + which);
    } else {
      RenameRecord::remove(config.hub.databaseDir);  // both are spokes now
    }
    return ends;
  }

  static bool hasMirror(const RenameRecord& record) {
    struct stat st;
    return !record.mirror.empty() && lstat(record.mirror.c_str(), &st) == 0;
  }

  static void linkKey(const RenameRecord& record) {
    for (auto* half : KEY_FILES) {
      auto from = record.key + half, to = record.newKey + half;
      if (link(from.c_str(), to.c_str()) == 0 || errno == ENOENT || sameFile(from, to)) continue;
      throw Failure(
          FailureId::KEY_UNUSABLE,
          absl::StrCat("cannot rename the key ", escapeForTerminal(from), " to ",
                       escapeForTerminal(to), ": ", strerror(errno)),
          "",
          {{"Check both files", absl::StrCat("ls -l ", escapeForTerminal(shellQuote(from)), " ",
                                             escapeForTerminal(shellQuote(to)))}});
    }
  }
};

}  // namespace

SpokeChange renameSpoke(const std::string& from, const std::string& to,
                        const ManageOptions& options, Store* store) {
  SpokeRenamer renamer(from, options, store);
  return renamer.run([&]() { renamer.rename(from, to); });
}

}  // namespace pibrain
