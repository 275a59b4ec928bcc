#pragma once
// Restores files from the archive. Never overwrites anything: if something exists where a file
// would go, restoring that file fails.

#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/mirror/archive-catalog.h"

namespace pibrain {

// Which files to restore: those that meet all of these conditions.
struct RestoreRequest {
  std::vector<std::string> spokes;  // the file is from one of these; none: from any
  std::string run;                  // this run archived it (isOfRun()); empty: any run
  // Each is the path in the mirror of a file or of a directory above it; a shell pattern for a
  // file's path, in which '*' also matches '/'; or the beginning of an id, which must be unique. A
  // file must match one of them; none: any file.
  std::vector<std::string> wanted;

  // Returns whether this asks for a single file by an id alone.
  bool isOneId() const;
};

struct RestoreChoice {
  std::vector<ArchivedFile> files;  // the version of each file that was archived last
  std::vector<ArchivedFile> older;  // the other versions, which are not restored
  std::vector<Failure> failures;    // one for each of `wanted` that matches no file or several ids
};

// Returns whether `run` means the run that archived the file: by its name or its time as it is
// listed, or by a beginning of either: "20260131T120000.123Z", "removed-20260131",
// "2026-01-31T12:00:00Z", "2026-01-31".
bool isOfRun(const ArchivedFile& file, const std::string& run);

// Returns which of `files` to restore.
RestoreChoice chooseArchived(const std::vector<ArchivedFile>& files, const RestoreRequest& request);

struct RestoreTarget {
  // Empty: each file goes to its place in the mirror of its spoke.
  std::string path;
  // Only with a `path`. True: it is a directory, created if missing, and each file goes to
  // SPOKE/PATH in it. False: it is where the file goes, or an existing directory that the file goes
  // directly into.
  bool tree = false;
};

struct RestoredFile {
  ArchivedFile file;
  std::string path;                // where the file is now, or would be
  std::optional<Failure> failure;  // why it could not be restored
};

// Restores the files, and returns what became of each, in the same order. With `dryRun`, nothing is
// written, so failures that only writing shows, such as a full disk, are not reported.
std::vector<RestoredFile> restoreArchived(const Config& config,
                                          const std::vector<ArchivedFile>& files,
                                          const RestoreTarget& target, bool dryRun);

}  // namespace pibrain
