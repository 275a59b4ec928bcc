#pragma once
// The hub's copy of a spoke's tree. All changes go through this class: it resolves names beneath
// held descriptors (P2), publishes only complete files (P3), and archives what would be lost (P5).
//
// Durable before visible, times last: a staged file gets its name, and a file written in place gets
// its true time, only after its content is on the disk. Both wait for commit(), which flushes once
// for all of them. Until then a file written in place has an earlier time (earlierThan()), so that
// after a crash the next run looks at it again.

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
  // The directory for incomplete files, at the top of the mirror. Its name never ends in .jsonl,
  // and a spoke's file of that name is not mirrored.
  static constexpr std::string_view STAGING = ".pi-brain-staging";

  // WRITE waits some seconds for the lock, which a watch holds for a second at a time.
  enum class Access { READ, WRITE, WRITE_AT_ONCE };

  // Opens the directory; for writing, creates it if missing and locks it, so that one run at a time
  // writes (P7). Throws Failure; while another run writes, one with the id MIRROR_IN_USE.
  Mirror(const std::string& path, Access access, Archive archive);

  ~Mirror() noexcept(false);
  Mirror(Mirror&&) = default;

  const std::string& path() const { return path_; }  // as configured

  // With `keep`, files keep the spoke's modes. Otherwise only the owner can access the mirror (P2),
  // and when a file is written to, other users lose their permissions on it. Must be called before
  // anything else.
  void keepModes(bool keep) { keepModes_ = keep; }
  // Return whether modes are kept, and whether they should be but the filesystem stores none.
  bool keepsModes() const { return keepModes_ && traits_.keepsModes; }
  bool lacksModes() const { return keepModes_ && !traits_.keepsModes; }

  // What the mirror's filesystem does to times and names. Until this is set, a filesystem that
  // changes nothing is assumed.
  const FilesystemTraits& traits() const { return traits_; }
  void setTraits(const FilesystemTraits& traits) { traits_ = traits; }
  // Probes the traits, in the staging directory.
  FilesystemTraits probe();
  // Returns how this mirror's digests are computed.
  DigestOptions digestOptions() const { return {traits_.times, keepsModes()}; }
  // Returns the mirror's filesystemIdentity(); empty if there is no mirror.
  std::string filesystem() const;
  // For filesystems that fold names: `has` returns whether the spoke has a file or directory with
  // this path. An entry that the spoke does not have may then be renamed to one that differs in
  // case and that the spoke has. Until this is set, nothing is renamed.
  void spokeHas(std::function<bool(const std::string& path)> has) { spokeHas_ = std::move(has); }

  // Returns the tree of all files but the staged ones. A missing mirror that is only read is empty.
  // May be called from another thread.
  Tree walk() const;
  // Passes the result of walk(), which must outlive all changes of the mirror. Names in it need not
  // be read again.
  void walked(const Tree& tree) { tree_ = &tree; }
  // Notes which of these files, which walk() has just found, someone else changed since the last
  // run, so that they are archived as EDITED. Must be called before the mirror is changed. It
  // misses a change that set an earlier time, changes that were followed by one to an entry at the
  // top of the mirror, and all changes after a run that did not finish.
  void noteEdits(const Tree& tree);
  // Sets the reason for archiving the files that are replaced from now on, except edited ones.
  // Until this is called, it is REPLACED.
  void archiveAs(ArchiveReason reason) { reason_ = reason; }
  // Returns whether the file still has exactly this name. Where the filesystem folds or changes
  // names, this run may have renamed it; elsewhere this returns true.
  bool stillNamed(const std::string& path);

  // A regular file, opened for reading.
  struct File {
    kj::AutoCloseFd fd;
    uint64_t size = 0;
    int64_t mtime = 0;
  };
  kj::Maybe<File> openFile(const std::string& path);

  // What is staged for a path: the whole file, or the tail to append to the existing one.
  enum class Staged { FILE, TAIL };

  // Returns whether an earlier run did not finish, and some of what it may have written has not
  // been checked since. It may have left staged files, and the kernel's cache may differ from the
  // disk.
  bool endedUncleanly() const { return unclean_; }
  // Returns whether that run failed to write this file to the disk, so that it cannot be a basis.
  bool mayBeLost(const std::string& path) const { return lost_.concern(path); }
  // Sets the time in `tree` of each file in the mark of lost writes to one that no file of the
  // spoke has, so that these files are requested again. `options`: for the digests.
  void makeLostUnlike(Tree& tree, const DigestOptions& options) const;
  // Opens what an earlier run staged, complete or not.
  kj::Maybe<File> openPartial(const std::string& path, Staged what = Staged::FILE);

  // Makes later reads of this file come from the disk, not from the kernel's cache: after an
  // unclean run, and for verifying.
  void readFromDisk(const File& file);

  // Waits until the kernel has written its cache of the mirror's filesystem to the disk, or failed
  // to. Only the first call does anything.
  void writeCache();

  // Opens the staging file for `path`, and truncates it unless it is `continued`.
  kj::AutoCloseFd openStaged(const std::string& path, bool continued, Staged what = Staged::FILE);
  void discardStaged(const std::string& path, Staged what = Staged::FILE);

  // With the next commit(), the staged file becomes the mirror's `path`, and the file that it
  // replaces is archived. Until then openFile() finds the staged one. `replaces`: a file of this
  // name is expected to exist, which saves a system call.
  void publish(const std::string& path, bool replaces = true);
  // The same for a staged file that begins with the content of the existing file, which is not
  // archived then. `base`: the status of the existing file.
  void publishGrown(const std::string& path, const struct stat& base);

  // Opens the mirror's `path` to append to it. Throws unless it is still what openFile() returned.
  // A file with several hard links is first replaced by a copy.
  kj::AutoCloseFd openForAppend(const std::string& path, uint64_t size, int64_t mtime);

  // Returns the time that a file has until commit() sets its true one: one that makes the next run
  // look at the file again.
  int64_t earlierThan(int64_t mtime) const;
  // Called when the file at `path`, open as `fd`, was written in place. Gives the file an earlier
  // time, and with the next commit() the time `mtime`, unless someone else changes the file
  // meanwhile.
  void settle(const std::string& path, int fd, int64_t mtime);

  // Renames within the mirror; `to` must not exist.
  void move(const std::string& from, const std::string& to);

  // With the next commit(), moves the file to the archive and removes directories that are then
  // empty. Returns false if there is no longer a regular file at this path: in this run, a
  // directory may have replaced it, or a file its directory, or, where names fold, a file whose
  // name differs in case.
  bool archiveFile(const std::string& path);

  struct Uncommitted {
    std::string path;
    kj::Exception why;             // FAILED: the error concerns this file alone
    std::optional<Remedy> remedy;  // if a disk has no room for the file
  };
  // Flushes everything to the disk, and then makes it visible. Returns what could not be made
  // visible. Throws Failure if the flush fails: then nothing that was being flushed becomes
  // visible, and the mark of lost writes tells the next run.
  std::vector<Uncommitted> commit();
  // The same in small steps, to be called often while files arrive: flushes if much is pending, or
  // something has been for long, and makes a few flushed files visible.
  std::vector<Uncommitted> proceed();
  // Returns whether the disk has room for this many bytes, and for one more file if `newFile`, as
  // far as the filesystem tells.
  bool hasRoomFor(uint64_t bytes, bool newFile) const;
  // Returns the fix for a full disk.
  Remedy makeRoom() const;
  [[noreturn]] static void fail(const Uncommitted& uncommitted);
  // Throws the first of these errors that concerns more than its one file, for example that no
  // descriptors are left.
  static void requireOfSingleFiles(const std::vector<Uncommitted>& uncommitted);

  // Called before and after another program, rsync, changes the mirror. The program must move what
  // it replaces into REPLACED, a directory in STAGING that handOver() creates empty. handOver()
  // also flushes the mark of an unfinished run, and throws KJ exceptions or Failure; takeBack()
  // flushes all that the program wrote, and throws like commit().
  static constexpr std::string_view REPLACED = "replaced";
  void handOver();
  void takeBack();
  // Moves the content of REPLACED to the archive. Each file stays in REPLACED until it is in the
  // archive and, if the archive is on another filesystem, on the disk. If this is not called or
  // fails, the next clearStaging() or handOver() does it.
  void archiveReplaced();

  // What a run leaves unchanged, although the spoke may have another version.
  struct Left {
    std::unordered_set<std::string> paths;  // files that were deferred, failed, vanished, …
    bool more = false;                      // and files that the run does not know
  };
  // Ends a successful run: commits, flushes what became visible, and removes the staging directory.
  // Throws like commit(), and throws the first error that commit() returned. The mark of an earlier
  // unfinished run stays as long as `left` is not empty.
  void finish(const Left& left);

  // Removes the staging directory and what earlier runs left there. Files that they replaced but
  // did not archive go to the archive.
  void clearStaging();
  // Removes the staging directory unless it holds files that the next run can continue.
  void removeStagingIfEmpty();

  // Returns a descriptor that holds the lock, valid as long as this object.
  int lockFd() const;

  Archive& archive() { return archive_; }

 private:
  // A change that waits for commit().
  struct Pending {
    enum class Kind { PUBLISH, SETTLE, ARCHIVE };
    Kind kind;
    std::string path;
    bool replaces = false;         // PUBLISH
    uint64_t inode = 0, size = 0;  // SETTLE: of the file
    int64_t mtime = 0;             // SETTLE: to set
    std::optional<Archive::Preserved> preserved;
    std::optional<Archive::Preserved> base;  // PUBLISH: the old file, if it need not be archived
    bool failed = false;
  };

  std::string where() const;  // for messages
  // Returns the directory `path`, and creates it if missing; valid until the next call.
  int directory(const std::string& path);
  int staging();
  void emptyStaging();
  kj::AutoCloseFd createStaged(const std::string& name);
  void requirePublished(int parent, const std::string& name, const std::string& path);
  static std::string stagedName(const std::string& path, Staged what = Staged::FILE);
  static bool isSwapped(const std::string& stagedName);
  void addPending(Pending pending, uint64_t bytes);
  bool shouldFlush() const;
  // Flushes what is pending to the disk. What cannot be archived goes to `uncommitted`.
  void flushPending(std::vector<Uncommitted>& uncommitted);
  // Makes the first `count` flushed changes visible.
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
  // Writes the mirror to the disk, and the files of `pending` too where syncfs(2) does not.
  void flush(const std::vector<Pending>* pending = nullptr);
  void noteLostWrites(const std::vector<Pending>* pending);
  void noteWritten(const std::string& path);
  void fsyncEach(const std::vector<Pending>* pending);
  void touch(std::string_view directory);
  void requireReplaceable(int parent, const std::string& name, const std::string& path);
  void breakLink(int parent, const std::string& name, const File& file);
  void removeEmptyParents(const std::string& path);

  // Returns whether an entry found by a name may have another name. Even if not, single directories
  // may fold names (ext4's casefold, a mount), so names of entries that were neither walked nor
  // created by this run are always checked.
  bool mayFold() const { return traits_.foldsNames || traits_.changesNames; }
  // Returns whether the directory is known to have exactly this name, without reading it.
  bool isKnownDirectory(const std::string& path) const;
  // Returns whether there is an entry with exactly this path.
  bool hasOwnPath(const std::string& path);
  // Makes sure that the entry that `name` finds, if any, has exactly this name, and renames it if
  // necessary. Throws if the spoke has another file of the entry's name.
  void requireOwnName(int parent, const std::string& name, const std::string& path);
  void requireOwnDirectory(const std::string& path, int fd);
  std::optional<std::string> ownNameOf(int parent, const std::string& name,
                                       const DirectoryNames::Names& names) const;
  void noteName(const std::string& path);
  void closeToOthers(int fd) const;

  const std::string path_;  // as configured
  Archive archive_;
  const size_t maxDirectories_;  // how many may be open
  kj::Maybe<RootedDir> root_;    // null: the mirror is missing and only read
  kj::AutoCloseFd staging_;
  std::map<std::string, kj::AutoCloseFd> directories_;
  FilesystemTraits traits_;
  bool keepModes_ = false;
  std::function<bool(const std::string&)> spokeHas_;
  const Tree* tree_ = nullptr;  // null: not walked
  DirectoryNames names_;
  std::unordered_set<std::string> made_;  // directories
  uint32_t renames_ = 0;                  // done by requireOwnName()
  bool onlyProbed_ = false;               // only probe() used the staging directory
  bool unclean_ = false;
  // When the mirror's directory was last changed, ns since the epoch. Not before the end of the
  // last run that changed the mirror, because each creates and removes the staging directory.
  // INT64_MAX: unknown, for example because that run did not finish.
  int64_t lastChange_ = INT64_MAX;
  std::unordered_set<std::string> edited_;  // files that someone else changed since then
  ArchiveReason reason_ = ArchiveReason::REPLACED;
  LostWrites lost_;            // of earlier runs and this one
  bool foundAgain_ = false;    // lost_ has fewer files than the mark on the disk
  bool cacheWritten_ = false;  // writeCache() was called
  std::vector<Pending> pending_;
  std::deque<Pending> written_;             // flushed, but not visible yet
  std::unordered_set<std::string> staged_;  // the paths of pending PUBLISH changes
  uint64_t pendingBytes_ = 0;
  int64_t oldestPending_ = 0;  // ns, monotonic
  bool unflushed_ = false;     // something was written in place or became visible since the flush
  bool syncfsReaches_ = true;  // syncfs(2) writes everything to the disk
  std::unordered_set<std::string> touched_;  // if not: directories that changed since
};

}  // namespace pibrain
