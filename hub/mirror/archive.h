#pragma once
// Keeps files that a sync replaces or deletes (P5), as ARCHIVE/SPOKE/RUN~REASON/PATH. RUN is the
// run's start in UTC, by the latest of the known clocks: 20260131T120000.123Z. REASON says why
// (ArchiveReason); it is part of the path, so that it appears together with the file. Earlier
// versions wrote no reason. If the run has already used the path for this reason, the file goes to
// RUN~REASON~2, RUN~REASON~3, …. Files that never expire are in removed-RUN. A copy is the file
// ARCHIVE/SPOKE/incomplete until it is complete. hub/mirror/archive-catalog.h reads the archive.

#include <kj/common.h>
#include <kj/function.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/fs/rooted-dir.h"
#include "hub/base/failure.h"

struct stat;

namespace pibrain {

enum class ArchiveReason {
  UNKNOWN,    // not recorded
  REPLACED,   // the spoke had another version
  REPAIRED,   // the same, but verify found and fetched that version
  EDITED,     // someone else had changed this file in the mirror
  DELETED,    // gone on the spoke, and the run deletes such files
  RECOVERED,  // a run was killed after it had moved the file out of its place
  REMOVED,    // its spoke was removed
};
// Returns "replaced", …; "" for UNKNOWN.
const char* toString(ArchiveReason reason);

// The archive has no room. The texts are for a run that ends with this failure; if several files
// fail this way, each gets the summary, and the fix is given once.
class NoRoomInArchive : public Failure {
 public:
  using Failure::Failure;
};

class Archive {
 public:
  // Creates nothing until something is archived. `agesFile` (empty: none) counts the ages of runs
  // (hub/mirror/archive-age.h).
  Archive(std::string directory, std::string spoke, int64_t runStarted, std::string agesFile = "");

  // Adds the time of another clock (ns since the epoch). The run is named by the latest of all
  // clocks, and not earlier than the newest run in the archive, so that a clock that is behind does
  // not make new files look old. Must be called before anything is archived.
  void clockShows(int64_t now);
  // Makes what is archived never expire, because the spoke is being removed. Must be called before
  // anything is archived.
  void keepForGood();
  // Returns the name of this run, without a reason. The first call decides it.
  const std::string& run();

  // What preserve() put into the archive.
  struct Preserved {
    std::string run;  // the name of the run's directory
    std::string path;
    // The inode of the original, of which this is a hard link or, if `copied`, a copy.
    uint64_t inode = 0;
    uint64_t size = 0;
    int64_t mtime = 0;
    bool copied = false;

    // Returns whether this version of the file is in the archive.
    bool holds(const struct stat& file) const;
  };

  // These archive the entry `name` of the directory `dirFd`, whose path in the mirror is `path`.
  // They throw KJ exceptions or NoRoomInArchive, and then leave the entry unchanged.

  // Puts a hard link or a copy of the file into the archive; the mirror keeps the file. It must not
  // be removed from the mirror before flush() has returned.
  Preserved preserve(int dirFd, const std::string& name, const std::string& path,
                     ArchiveReason reason);
  // Undoes preserve(), because the file was not replaced after all.
  void discard(const Preserved& preserved);
  // Moves the entry, a file or a directory, to the archive. If that needs a copy, the copy is on
  // the disk before the entry is removed.
  void take(int dirFd, const std::string& name, const std::string& path, ArchiveReason reason);

  // Removes the partial copy of a killed hub.
  void clearStaging() const;

  // Returns whether the archive is on a filesystem other than this device's.
  bool isElsewhere(uint64_t device);

  // Flushes what was archived, with its directories, to the disk, unless it is on this device's
  // filesystem, which the caller flushes. Throws a KJ exception.
  void flush(uint64_t exceptOn = 0);

 private:
  // A file that was copied, or a directory whose content was; it must be removed from the mirror.
  struct Copied {
    std::string path;  // relative to the entry
    Preserved what;
  };
  struct Place {
    std::string run;
    kj::AutoCloseFd dir;
    std::string name;
  };
  void copyTree(int dirFd, const std::string& name, const std::string& path, ArchiveReason reason,
                std::vector<Copied>& copied);
  Preserved copyFile(int fromDir, const std::string& from, const std::string& path, Place to);
  std::string where() const;
  // Returns a free place for `path`, and creates its directories.
  Place place(const std::string& path, ArchiveReason reason);
  const RootedDir& spokeDir();
  // Returns the name of a directory of the run for this reason, numbered from 0.
  std::string runName(ArchiveReason reason, size_t number);
  const RootedDir& runDir(const std::string& name);
  // Does the work, and turns an error about a full disk into NoRoomInArchive.
  void explainingFullDisk(kj::FunctionParam<void()> work) const;
  void fsyncTouched();
  // Removes the empty directories above `path`, including the run's.
  void removeEmpty(const std::string& run, const std::string& path);
  void removeEmpty(const std::string& path);  // in all of the run's directories

  std::string directory_;
  std::string spoke_;
  std::string agesFile_;
  int64_t latest_;  // the latest time of all clocks
  bool forGood_ = false;
  std::string run_;  // empty: not decided yet
  std::optional<RootedDir> spokeDir_;
  std::map<std::string, RootedDir> runDirs_;
  bool syncfsReaches_ = true;  // syncfs(2) writes everything to the disk
  // If not: directories, with the names of their runs.
  std::set<std::pair<std::string, std::string>> touched_;
};

// Convert the start of a run (ns since the epoch) to the name of the run, and back. RUN~… gives the
// time of RUN; other names give nullopt.
std::string archiveRunName(int64_t began);
std::optional<int64_t> archiveRunTime(const std::string& name);
// The same for removed-RUN, for which archiveRunTime() returns nullopt.
std::optional<int64_t> removedRunTime(const std::string& name);
// Return the run that a directory of either kind belongs to, without reason and number; and the
// reason.
std::string archiveRunOf(const std::string& directory);
ArchiveReason archiveReasonOf(const std::string& directory);

// Opens the directory `path` beneath `root`, and creates it and its parents (0700) if missing.
// `where`: what errors call `root`.
kj::AutoCloseFd makeDirectoriesBeneath(const RootedDir& root, const std::string& path,
                                       const std::string& where);

}  // namespace pibrain
