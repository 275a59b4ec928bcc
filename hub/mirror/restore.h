#pragma once
// Brings files of the archive back. Nothing gives way to them: what stands where one would go
// stays, and that one fails.

#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/mirror/archive-catalog.h"

namespace pibrain {

// Which files: those for which all holds that is said here.
struct RestoreRequest {
  std::vector<std::string> spokes;  // of one of these; none: of any
  std::string run;                  // archived by it (isOfRun()); empty: by any
  // Meant by one of these: a path in the mirror, of a file or of a directory that it was in; a
  // shell's pattern of such a path, in which '*' stands for '/' too; or the beginning of an id,
  // which must be the only one that begins so. None: any.
  std::vector<std::string> wanted;

  // Whether it is one file by its id, wherever that is from.
  bool isOneId() const;
};

struct RestoreChoice {
  std::vector<ArchivedFile> files;  // of each path of a spoke, the version that was archived last
  std::vector<ArchivedFile> older;  // the other versions, for which there is no place
  std::vector<Failure> failures;    // for each of `wanted` that means nothing, or no one file
};

// Whether a run is meant by its name or a beginning of it, or by its time as it is listed:
// "20260131T120000.123Z", "removed-20260131", "2026-01-31T12:00:00Z", "2026-01-31".
bool isOfRun(const ArchivedFile& file, const std::string& run);

// `files`: all that may be chosen.
RestoreChoice chooseArchived(const std::vector<ArchivedFile>& files, const RestoreRequest& request);

struct RestoreTarget {
  // Empty: each file's place in the mirror of its spoke.
  std::string path;
  // With a path: it is a directory, made if missing, and each file goes to SPOKE/PATH in it.
  // Otherwise it is the file's own, or a directory that the file goes right into.
  bool tree = false;
};

struct RestoredFile {
  ArchivedFile file;
  std::string path;                // where it is now, or would be
  std::optional<Failure> failure;  // why it is not
};

// Returns what became of each, in their order. With `dryRun` nothing is written; what only shows
// then, a full disk for one, is not foreseen.
std::vector<RestoredFile> restoreArchived(const Config& config,
                                          const std::vector<ArchivedFile>& files,
                                          const RestoreTarget& target, bool dryRun);

}  // namespace pibrain
