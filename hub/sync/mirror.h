#pragma once
// The hub's copy of a spoke's tree. All that changes it goes through here: names are resolved
// beneath held descriptors (P2), files appear whole (P3), what would be lost is archived (P5).

#include <kj/io.h>

#include <map>
#include <string>

#include "common/rooted-dir.h"
#include "common/tree-walk.h"
#include "hub/sync/archive.h"

namespace pibrain {

class Mirror {
 public:
  // A name at the top of the mirror, for files that are not complete. It never ends in .jsonl, and
  // a spoke cannot have a file of that name mirrored.
  static constexpr std::string_view STAGING = ".pi-brain-staging";

  enum class Access { READ, WRITE };

  // Opens the directory; for WRITE it is made if missing, and locked: one run at a time (P7).
  // Throws Failure, or Locked.
  Mirror(const std::string& path, Access access, Archive archive);

  struct Locked {};

  // All files, the staged ones left out. A missing mirror that is only read is an empty one. May
  // be called from another thread.
  Tree walk() const;

  // A regular file, as the sync finds it before it decides.
  struct File {
    kj::AutoCloseFd fd;
    uint64_t size = 0;
    int64_t mtime = 0;
  };
  kj::Maybe<File> openFile(const std::string& path);

  // Whether an earlier run was interrupted and may have left something.
  bool hasPartials() const;
  // An incomplete file that an earlier run left for `path`.
  kj::Maybe<File> openPartial(const std::string& path);

  // Opens the staging file for `path`, emptied unless it is to be continued.
  kj::AutoCloseFd openStaged(const std::string& path, bool continued);
  void discardStaged(const std::string& path);

  // Makes the staged file the mirror's `path`. What was there before is archived.
  void publish(const std::string& path);

  // Opens the mirror's `path` to append to it. It still has to be what openFile() returned. If it
  // has a second name, it is first replaced by a copy, which has one only.
  kj::AutoCloseFd openForAppend(const std::string& path, uint64_t size, int64_t mtime);

  // Renames within the mirror; nothing may be at `to`.
  void move(const std::string& from, const std::string& to);

  // Moves the file to the archive, and removes the directories that this leaves empty. Returns
  // false if there is no regular file of this path any more: a directory may have come in its
  // place, or a file in its directory's, with this very run.
  bool archiveFile(const std::string& path);

  // Removes what earlier runs left in the staging directory, and the directory.
  void clearStaging();
  // Leaves what an interrupted run may go on from.
  void removeStagingIfEmpty();

  // A descriptor on which the lock is, while this lives.
  int lockFd() const;

  // Writes everything to the disk.
  void flush();

 private:
  std::string where() const;  // for messages
  // The directory `path`, made if missing; valid until the next call.
  int directory(const std::string& path);
  int staging();
  kj::AutoCloseFd createStaged(const std::string& name);
  void requirePublished(int parent, const std::string& name, const std::string& path);
  std::string stagedName(const std::string& path) const;
  void makeRoomAt(int parent, const std::string& name, const std::string& path);
  void breakLink(int parent, const std::string& name, const File& file);
  void removeEmptyParents(const std::string& path);

  const std::string path_;  // as configured
  Archive archive_;
  const size_t maxDirectories_;  // how many may be open
  kj::Maybe<RootedDir> root_;    // null: missing, and only read
  kj::AutoCloseFd staging_;
  std::map<std::string, kj::AutoCloseFd> directories_;
};

}  // namespace pibrain
