#pragma once
// Reads the archive (hub/mirror/archive.h): lists, finds and expires its files.

#include <absl/status/statusor.h>
#include <kj/io.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "hub/mirror/archive-age.h"
#include "hub/mirror/archive.h"

namespace pibrain {

struct ArchivedFile {
  std::string id;  // 16 hexadecimal digits, made of spoke, run and path
  std::string spoke;
  std::string run;   // the directory's name, with the reason
  std::string path;  // the former path in the mirror
  int64_t archived;  // when the run began, ns since the epoch
  uint64_t size;
  int64_t mtime;  // ns since the epoch
  bool forGood;   // it does not expire, because its spoke was removed
  ArchiveReason reason;
};

// Returns the sorted names of the spokes that have an archive; empty if there is no archive.
absl::StatusOr<std::vector<std::string>> archivedSpokes(const std::string& archiveDir);

// Returns a spoke's archived files, oldest run first and sorted by path within a run; those that
// never expire come last. Skips directories that are not named like a run.
absl::StatusOr<std::vector<ArchivedFile>> archivedFiles(const std::string& archiveDir,
                                                        const std::string& spoke);

struct ArchiveContents {
  std::vector<ArchivedFile> files;
  std::vector<std::string> without;    // the named spokes that have no archive
  std::optional<std::string> problem;  // why some could not be read; nullopt: all were
};
// Returns the files of these spokes, or of all if `names` is empty. An unreadable spoke does not
// affect the others.
absl::StatusOr<ArchiveContents> archiveContents(const std::string& archiveDir,
                                                const std::vector<std::string>& names);

// Returns the file whose id begins with `id`. NotFoundError if there is none; another error if
// there are several.
absl::StatusOr<ArchivedFile> findArchived(const std::vector<ArchivedFile>& files,
                                          const std::string& id);

// Returns the total size of these files.
uint64_t bytesOf(const std::vector<ArchivedFile>& files);

// Returns the bytes in a spoke's archive; 0 if it has none or is unreadable.
uint64_t archivedBytes(const std::string& archiveDir, const std::string& spoke);

// Opens the file for reading.
absl::StatusOr<kj::AutoCloseFd> openArchived(const std::string& archiveDir,
                                             const ArchivedFile& file);

// Removes the files of runs that began more than `days` before `now` (ns since the epoch) and that
// are also that old by `agesFile`; starts counting for runs that the file does not have yet. 0
// days: keeps all. The caller must hold the lock of the spoke's mirror. If a run cannot be removed,
// the others are still removed, and the error names the first that failed.
absl::Status expireArchive(const std::string& archiveDir, const std::string& spoke, uint32_t days,
                           int64_t now, const std::string& agesFile,
                           const AgeClocks& clocks = AgeClocks::now());

// Returns the path of the file that counts the ages of a spoke's archive.
std::string archiveAgesFile(const std::string& databaseDir, const std::string& spoke);

}  // namespace pibrain
