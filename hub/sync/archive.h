#pragma once
// Where files go before a sync destroys them (P5): ARCHIVE/SPOKE/RUN/PATH. RUN is when the run
// began, in UTC: 20260131T120000.123Z; what does not fit in beside what the same run archived
// before goes to RUN~2, RUN~3, …. A copy is made in ARCHIVE/SPOKE/incomplete.
// hub/sync/archive-catalog.h reads it.

#include <kj/common.h>
#include <kj/function.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/rooted-dir.h"

namespace pibrain {

class Archive {
 public:
  // Nothing is created before something is archived.
  Archive(std::string directory, std::string spoke, int64_t runStarted);

  // Both take the entry `name` of the directory `dirFd`, which is the mirror's file `path`. They
  // throw KJ exceptions, or Failure if the archive's disk is full, and then the entry is as it was.

  // Puts a second name for the file, or a copy, in the archive; the mirror keeps its own.
  void preserve(int dirFd, const std::string& name, const std::string& path);
  // Moves the entry, a file or a directory, to the archive.
  void take(int dirFd, const std::string& name, const std::string& path);

  // Removes what a hub that was killed left half copied.
  void clearStaging() const;

  // Writes what was archived to the disk.
  void flush();

 private:
  void moveHere(int dirFd, const std::string& name, const std::string& path);
  void takeDirectory(int dirFd, const std::string& name, const std::string& path);

  struct Place {
    kj::AutoCloseFd dir;
    std::string name;
  };
  void copyFile(int fromDir, const std::string& from, const Place& to);
  std::string where() const;
  // A free place for `path`, its directories made.
  Place place(const std::string& path);
  const RootedDir& spokeDir();
  // Those of the run, numbered from 0.
  const RootedDir& runDir(size_t number);
  // Does the work, and says of a full disk that it is the archive's.
  void minding(kj::FunctionParam<void()> work) const;

  std::string directory_;
  std::string spoke_;
  std::string run_;
  std::optional<RootedDir> spokeDir_;
  std::vector<RootedDir> runDirs_;
};

// The name of the directory of a run that began then (ns since the epoch), and back: for RUN~2 it
// is that of RUN. None if it is no such name.
std::string archiveRunName(int64_t began);
std::optional<int64_t> archiveRunTime(const std::string& name);

// The descriptor of the directory `path` beneath `root`, made with its parents (0700) where
// missing. `where` is what errors call it.
kj::AutoCloseFd makeDirectoriesBeneath(const RootedDir& root, const std::string& path,
                                       const std::string& where);

}  // namespace pibrain
