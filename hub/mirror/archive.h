#pragma once
// Where files go before a sync destroys them (P5): ARCHIVE/SPOKE/RUN~REASON/PATH. RUN is when the
// run began, in UTC and by the latest of the clocks that are known: 20260131T120000.123Z. REASON
// says why (ArchiveReason), so that each file is there with its reason or not at all; it is missing
// where a version archived that did not tell. What does not fit in beside what the same run
// archived before goes to RUN~REASON~2, RUN~REASON~3, …. What is not to expire is in removed-RUN. A
// copy is made in ARCHIVE/SPOKE/incomplete. hub/mirror/archive-catalog.h reads it.

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
  UNKNOWN,    // not noted
  REPLACED,   // the spoke had another version
  REPAIRED,   // the same, and it was verify that found and fetched it
  EDITED,     // the same, and somebody had changed this one in the mirror
  DELETED,    // gone on the spoke, and the run was to delete
  RECOVERED,  // a run that was killed had taken it out of its place
  REMOVED,    // its spoke was removed
};
// "replaced", …; "" for UNKNOWN.
const char* toString(ArchiveReason reason);

// The archive has no room for something. What it says is for a run that ends with it; of several
// files, the summary is for each and the fix for all.
class NoRoomInArchive : public Failure {
 public:
  using Failure::Failure;
};

class Archive {
 public:
  // Nothing is created before something is archived. `agesFile` (none: "") counts how long runs are
  // there (hub/mirror/archive-age.h).
  Archive(std::string directory, std::string spoke, int64_t runStarted, std::string agesFile = "");

  // Another clock shows this time (ns since the epoch). The run is named by the latest of all
  // clocks, and never before the newest run that is there: one that is behind must not make what
  // is archived now look old. To be called before anything is archived.
  void clockShows(int64_t now);
  // What is archived is there for good: the spoke is removed. To be called before anything is.
  void keepForGood();
  // The name of this run, without a reason. It is settled by the first call.
  const std::string& run();

  // What preserve() put in the archive.
  struct Preserved {
    std::string run;  // in which of the run's directories
    std::string path;
    // The file of which it is a second name; if `copied`, the one that it is a copy of.
    uint64_t inode = 0;
    uint64_t size = 0;
    int64_t mtime = 0;
    bool copied = false;

    // Whether this file is all in the archive.
    bool holds(const struct stat& file) const;
  };

  // These take the entry `name` of the directory `dirFd`, which is the mirror's `path`. They throw
  // KJ exceptions, or NoRoomInArchive, and then the entry is as it was.

  // Puts a second name for the file, or a copy, in the archive; the mirror keeps its own. The file
  // must not go from the mirror before flush() has returned.
  Preserved preserve(int dirFd, const std::string& name, const std::string& path,
                     ArchiveReason reason);
  // Takes that back: the file was not replaced after all.
  void discard(const Preserved& preserved);
  // Moves the entry, a file or a directory, to the archive. Where that is a copy, it is on the disk
  // before the entry goes.
  void take(int dirFd, const std::string& name, const std::string& path, ArchiveReason reason);

  // Removes what a hub that was killed left half copied.
  void clearStaging() const;

  // Whether the archive is on another filesystem than the one with this device.
  bool isElsewhere(uint64_t device);

  // Writes what was archived to the disk, with its directories, unless it lies on the filesystem
  // with this device, which somebody else sees to. Throws a KJ exception.
  void flush(uint64_t exceptOn = 0);

 private:
  // A file that was copied and has to go from where it was.
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
  // A free place for `path`, its directories made.
  Place place(const std::string& path, ArchiveReason reason);
  const RootedDir& spokeDir();
  // Of what is archived for this reason, numbered from 0.
  std::string runName(ArchiveReason reason, size_t number);
  const RootedDir& runDir(const std::string& name);
  // Does the work, and says of a full disk that it is the archive's.
  void explainingFullDisk(kj::FunctionParam<void()> work) const;
  // The directories for `path` that nothing is in, the run's own too.
  void fsyncTouched();
  void removeEmpty(const std::string& run, const std::string& path);
  void removeEmpty(const std::string& path);  // of all the run's

  std::string directory_;
  std::string spoke_;
  std::string agesFile_;
  int64_t latest_;  // of what all clocks show
  bool forGood_ = false;
  std::string run_;  // empty: not settled yet
  std::optional<RootedDir> spokeDir_;
  std::map<std::string, RootedDir> runDirs_;
  bool syncfsReaches_ = true;  // it brings all to the disk
  // Otherwise: directories, with their runs.
  std::set<std::pair<std::string, std::string>> touched_;
};

// The name of a run that began then (ns since the epoch), and back: for RUN~… it is that of RUN.
// None if it is no such name.
std::string archiveRunName(int64_t began);
std::optional<int64_t> archiveRunTime(const std::string& name);
// The same for removed-RUN alone, which archiveRunTime() does not know.
std::optional<int64_t> removedRunTime(const std::string& name);
// Of a directory of either kind: the run, without reason and number; and the reason.
std::string archiveRunOf(const std::string& directory);
ArchiveReason archiveReasonOf(const std::string& directory);

// The descriptor of the directory `path` beneath `root`, made with its parents (0700) where
// missing. `where` is what errors call it.
kj::AutoCloseFd makeDirectoriesBeneath(const RootedDir& root, const std::string& path,
                                       const std::string& where);

}  // namespace pibrain
