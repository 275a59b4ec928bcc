#pragma once
// The hub's copy of a spoke's tree. All that changes it goes through here: names are resolved
// beneath held descriptors (P2), files appear whole (P3), what would be lost is archived (P5).
//
// Durable before visible, times last: a staged file gets its name, and a file that was written in
// place its true time, only when what it holds is on the disk. Both wait for commit(), which asks
// for that once for all of them. Until then a file that was written in place has an earlier time
// (earlierThan()), so whatever happens, the next run looks at it again.

#include <kj/exception.h>
#include <kj/io.h>

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/fs/rooted-dir.h"
#include "common/tree/tree.h"
#include "hub/mirror/archive.h"
#include "hub/mirror/directory-names.h"
#include "hub/mirror/filesystem-traits.h"
#include "hub/mirror/lost-writes.h"

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

  ~Mirror() noexcept(false);
  Mirror(Mirror&&) = default;

  const std::string& path() const { return path_; }  // as configured

  // Files keep the modes that they are given, for those who asked for that. Otherwise the mirror is
  // its owner's alone (P2): what is written to is closed to others, should it have been open. To be
  // called before anything else.
  void keepModes(bool keep) { keepModes_ = keep; }
  // Whether they do, on this filesystem; and whether that is asked of one that has none.
  bool keepsModes() const { return keepModes_ && traits_.keepsModes; }
  bool lacksModes() const { return keepModes_ && !traits_.keepsModes; }

  // What the mirror's filesystem does to times and names. Until it is set, it is taken for one that
  // keeps all as it is.
  const FilesystemTraits& traits() const { return traits_; }
  void setTraits(const FilesystemTraits& traits) { traits_ = traits; }
  // Tries it, in the staging directory.
  FilesystemTraits probe();
  // How this mirror is compared with a spoke's tree.
  DigestOptions digestOptions() const { return {traits_.times, keepsModes()}; }
  // What filesystemIdentity() says of it; empty if there is no mirror.
  std::string filesystem() const;
  // Where names fold: whether the spoke has a file or a directory of this path. What it has not may
  // be renamed, to a name that differs in case, for what it has. Until this is set, nothing is.
  void spokeHas(std::function<bool(const std::string& path)> has) { spokeHas_ = std::move(has); }

  // All files, the staged ones left out. A missing mirror that is only read is an empty one. May
  // be called from another thread.
  Tree walk() const;
  // What walk() returned, which has to stay while the mirror is changed. What it has need not be
  // looked at again to know its name.
  void walked(const Tree& tree) { tree_ = &tree; }
  // Notes which of these files, which walk() has just found, were changed since the last run by
  // somebody else: for whoever asks later why they were archived. To be called before the mirror is
  // changed. It misses what got an earlier time with its change, and some of what was changed
  // before an entry at the top of the mirror was.
  void noteEdits(const Tree& tree);
  // Why what is replaced from now on is archived, unless somebody edited it. (REPLACED, if this is
  // not called.)
  void archiveAs(ArchiveReason reason) { reason_ = reason; }
  // Whether the file is still there by this very name, as far as this run changed names.
  bool stillNamed(const std::string& path);

  // A regular file, as the sync finds it before it decides.
  struct File {
    kj::AutoCloseFd fd;
    uint64_t size = 0;
    int64_t mtime = 0;
  };
  kj::Maybe<File> openFile(const std::string& path);

  // What is staged for a path: the file, or what is to be appended to the one that is there.
  enum class Staged { FILE, TAIL };

  // Whether a run before did not come to its end, and not all that it may have written was looked
  // at since: it may have left something, and what the kernel has in its cache may not be what is
  // on the disk.
  bool endedUncleanly() const { return unclean_; }
  // Whether that run could not write this file to the disk: what is there cannot be built upon.
  bool mayBeLost(const std::string& path) const { return lost_.concern(path); }
  // Gives these files a time in `tree` that none of the spoke's has, so that they are asked for
  // whatever they look like. `options`: for the digests.
  void makeLostUnlike(Tree& tree, const DigestOptions& options) const;
  // What an earlier run staged, whole or not.
  kj::Maybe<File> openPartial(const std::string& path, Staged what = Staged::FILE);

  // From now on what is to be read of this file comes from the disk, not from the kernel's cache.
  // Of use for a mirror whose last run ended uncleanly, and to verify one.
  void readFromDisk(const File& file);

  // What the kernel had to write when the mirror was opened is on the disk then, or lost.
  void writeCache();

  // Opens the staging file for `path`, emptied unless it is to be continued.
  kj::AutoCloseFd openStaged(const std::string& path, bool continued, Staged what = Staged::FILE);
  void discardStaged(const std::string& path, Staged what = Staged::FILE);

  // With the next commit(), the staged file becomes the mirror's `path`; what was there before is
  // archived. Until then openFile() finds the staged one. `replaces`: there was one, as far as is
  // known, which saves a look.
  void publish(const std::string& path, bool replaces = true);
  // The same for a staged file that begins with the one that is there, which `base` is of: that one
  // is not archived.
  void publishGrown(const std::string& path, const struct stat& base);

  // Opens the mirror's `path` to append to it. It still has to be what openFile() returned. If it
  // has a second name, it is first replaced by a copy, which has one only.
  kj::AutoCloseFd openForAppend(const std::string& path, uint64_t size, int64_t mtime);

  // The time that a file has until commit() settles its true one: such that the next run looks at
  // it again.
  int64_t earlierThan(int64_t mtime) const;
  // The file at `path`, open as `fd`, was written in place. It gets an earlier time, and this one
  // with the next commit() unless somebody else changes it meanwhile.
  void settle(const std::string& path, int fd, int64_t mtime);

  // Renames within the mirror; nothing may be at `to`.
  void move(const std::string& from, const std::string& to);

  // With the next commit(), the file moves to the archive, and the directories go that this leaves
  // empty. Returns false if there is no regular file of this path any more: a directory may have
  // come in its place, or a file in its directory's, with this very run; or, where names fold, a
  // file whose name differs in case.
  bool archiveFile(const std::string& path);

  struct Uncommitted {
    std::string path;
    kj::Exception why;             // FAILED: it concerns this file alone
    std::optional<Remedy> remedy;  // if a disk has no room for it
  };
  // Writes all to the disk, and then makes it visible. Returns what could not be made so; the rest
  // is. Throws Failure if the disk does not take it: then nothing became visible, and the next run
  // knows.
  std::vector<Uncommitted> commit();
  // The same, bit by bit, to be called now and then while more comes: if much waits, or for long,
  // it is written to the disk; and of what is there, a little becomes visible.
  std::vector<Uncommitted> proceed();
  // Whether there is room for so many bytes, and, if need be, for a file more; as far as the
  // filesystem says.
  bool hasRoomFor(uint64_t bytes, bool newFile) const;
  // What a person does if not: a sentence without its end.
  Remedy makeRoom() const;
  [[noreturn]] static void fail(const Uncommitted& uncommitted);
  // Throws the first of these that is more than one file's failure: no descriptors left, say.
  static void requireOfSingleFiles(const std::vector<Uncommitted>& uncommitted);

  // Another program, rsync, changes the mirror in our stead. What it replaces it has to put into
  // REPLACED, a directory in STAGING, which handOver() leaves empty. When that returns it is on the
  // disk that this run is not at its end; when takeBack() does, all that the program wrote. Both
  // throw as commit() does.
  static constexpr std::string_view REPLACED = "replaced";
  void handOver();
  void takeBack();
  // Moves what is in REPLACED to the archive. It is there until it is in the archive, on the disk
  // if that lies elsewhere; if this is not called, or fails, the next clearStaging() or handOver()
  // does it.
  void archiveReplaced();

  // What a run leaves as it is, although the spoke may have another version of it.
  struct Left {
    std::unordered_set<std::string> paths;  // what was put off, failed, went away meanwhile, …
    bool more = false;                      // and what the run does not know of
  };
  // The end of a run that did all that it wanted to: commits, waits until the disk has what became
  // visible, and removes what was staged. Throws as commit() does, or for what it returned. If a
  // run before did not come to its end, that stays known as long as anything is left.
  void finish(const Left& left);

  // Removes what earlier runs left in the staging directory, and the directory.
  void clearStaging();
  // Leaves what an interrupted run may go on from.
  void removeStagingIfEmpty();

  // A descriptor on which the lock is, while this lives.
  int lockFd() const;

  Archive& archive() { return archive_; }

 private:
  // What waits for commit().
  struct Pending {
    enum class Kind { PUBLISH, SETTLE, ARCHIVE };
    Kind kind;
    std::string path;
    bool replaces = false;         // PUBLISH
    uint64_t inode = 0, size = 0;  // SETTLE: of the file
    int64_t mtime = 0;             // SETTLE: to set
    std::optional<Archive::Preserved> preserved;
    std::optional<Archive::Preserved> base;  // PUBLISH: what is there, if it need not be archived
    bool failed = false;
  };

  std::string where() const;  // for messages
  // The directory `path`, made if missing; valid until the next call.
  int directory(const std::string& path);
  int staging();
  void emptyStaging();
  kj::AutoCloseFd createStaged(const std::string& name);
  void requirePublished(int parent, const std::string& name, const std::string& path);
  static std::string stagedName(const std::string& path, Staged what = Staged::FILE);
  static bool isSwapped(const std::string& stagedName);
  void addPending(Pending pending, uint64_t bytes);
  bool shouldFlush() const;
  // Writes what is pending to the disk. What cannot be archived goes to `uncommitted`.
  void flushPending(std::vector<Uncommitted>& uncommitted);
  // Makes the first `count` of what was written visible.
  void revealSome(size_t count, std::vector<Uncommitted>& uncommitted);
  template <typename Step>
  void attempt(Pending& pending, std::vector<Uncommitted>& uncommitted, Step&& step);
  void preserve(Pending& pending);
  ArchiveReason reasonToReplace(const std::string& path) const;
  void archiveEdited(int replaced, const std::string& path);
  void reveal(Pending& pending);
  void publish(Pending& pending);
  void replace(int parent, const std::string& name, Pending& pending);
  void exchange(int parent, const std::string& name, const Pending& pending);
  bool settle(const Pending& pending);
  void archive(Pending& pending);
  uint64_t device() const;
  // `pending`: what is not on the disk before this returns.
  void flush(const std::vector<Pending>* pending = nullptr);
  void noteLostWrites(const std::vector<Pending>* pending);
  void noteWritten(const std::string& path);
  void fsyncEach(const std::vector<Pending>* pending);
  void touch(std::string_view directory);
  void requireReplaceable(int parent, const std::string& name, const std::string& path);
  void breakLink(int parent, const std::string& name, const File& file);
  void removeEmptyParents(const std::string& path);

  // What is found by a name may have another one: where the filesystem folds or changes names, and
  // that may be in one directory alone (ext4's casefold, a mount). So the name of what was neither
  // walked nor made here is looked at, whatever the traits say, and of everything where they say
  // so.
  bool mayFold() const { return traits_.foldsNames || traits_.changesNames; }
  // Whether the directory is known to have this very name, without a look.
  bool isKnownDirectory(const std::string& path) const;
  // Whether there is an entry of this very path.
  bool hasOwnPath(const std::string& path);
  // Sees to it that the entry that `name` finds, if any, has this very name, be it by a rename.
  // Throws if it is another one's.
  void requireOwnName(int parent, const std::string& name, const std::string& path);
  void requireOwnDirectory(const std::string& path, int fd);
  std::optional<std::string> ownNameOf(int parent, const std::string& name,
                                       const DirectoryNames::Names& names) const;
  void noteName(const std::string& path);
  void closeToOthers(int fd) const;

  const std::string path_;  // as configured
  Archive archive_;
  const size_t maxDirectories_;  // how many may be open
  kj::Maybe<RootedDir> root_;    // null: missing, and only read
  kj::AutoCloseFd staging_;
  std::map<std::string, kj::AutoCloseFd> directories_;
  FilesystemTraits traits_;
  bool keepModes_ = false;
  std::function<bool(const std::string&)> spokeHas_;
  const Tree* tree_ = nullptr;  // null: not walked
  DirectoryNames names_;
  std::unordered_set<std::string> made_;  // directories
  uint32_t renames_ = 0;                  // by requireOwnName()
  bool onlyProbed_ = false;               // nothing but probe() used the staging directory
  bool unclean_ = false;
  // When the directory was changed, ns since the epoch: as each run that changes the mirror makes
  // and removes an entry in it, not before the last one's end.
  int64_t lastChange_ = INT64_MAX;
  std::unordered_set<std::string> edited_;  // by somebody, since then
  ArchiveReason reason_ = ArchiveReason::REPLACED;
  LostWrites lost_;            // by runs before, and this one
  bool foundAgain_ = false;    // there is less in lost_ than in the mark
  bool cacheWritten_ = false;  // what the kernel had to write when the mirror was opened
  std::vector<Pending> pending_;
  std::deque<Pending> written_;             // is on the disk, and to become visible
  std::unordered_set<std::string> staged_;  // the paths of those to publish
  uint64_t pendingBytes_ = 0;
  int64_t oldestPending_ = 0;                // ns, monotonic
  bool unflushed_ = false;                   // something was written in place, or became visible
  bool syncfsReaches_ = true;                // syncfs(2) brings all to the disk
  std::unordered_set<std::string> touched_;  // otherwise: directories that changed since
};

}  // namespace pibrain
