#pragma once
// What is in the archive (hub/mirror/archive.h): for listing, restoring, and expiry.

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
  std::string path;  // in the mirror, when it was there
  int64_t archived;  // when the run began, ns since the epoch
  uint64_t size;
  int64_t mtime;  // ns since the epoch
  bool forGood;   // it does not expire: its spoke was removed
  ArchiveReason reason;
};

// The names of the spokes that have an archive, sorted; none if there is no archive.
absl::StatusOr<std::vector<std::string>> archivedSpokes(const std::string& archiveDir);

// All files of a spoke, oldest run first, each run's by path. What is not of our making is left
// out.
absl::StatusOr<std::vector<ArchivedFile>> archivedFiles(const std::string& archiveDir,
                                                        const std::string& spoke);

struct ArchiveContents {
  std::vector<ArchivedFile> files;
  std::vector<std::string> without;  // the spokes that were named and have no archive
  std::string problem;               // with those that could not be read; empty: there is none
};
// Of the spokes of these names, or of all. One that cannot be read takes nothing from the others.
absl::StatusOr<ArchiveContents> archiveContents(const std::string& archiveDir,
                                                const std::vector<std::string>& names);

// The file whose id begins so. NotFoundError if there is none; another error if it is not the only
// one.
absl::StatusOr<ArchivedFile> findArchived(const std::vector<ArchivedFile>& files,
                                          const std::string& id);

// The bytes in these.
uint64_t bytesOf(const std::vector<ArchivedFile>& files);

// The bytes in a spoke's archive; 0 if it has none, or it cannot be read.
uint64_t archivedBytes(const std::string& archiveDir, const std::string& spoke);

// The file, opened for reading.
absl::StatusOr<kj::AutoCloseFd> openArchived(const std::string& archiveDir,
                                             const ArchivedFile& file);

// Removes what runs archived that began more than `days` before `now` (ns since the epoch) and that
// have been there for so long by `agesFile` too; what is not counted there yet is from now on. 0
// days keep all. To be called under the lock of the spoke's mirror. The error says what could not
// be removed; the rest is.
absl::Status expireArchive(const std::string& archiveDir, const std::string& spoke, uint32_t days,
                           int64_t now, const std::string& agesFile,
                           const AgeClocks& clocks = AgeClocks::now());

// The file in which the ages of a spoke's archive are counted.
std::string archiveAgesFile(const std::string& databaseDir, const std::string& spoke);

}  // namespace pibrain
