#include "common/tree/tree-walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>

#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/fs/rooted-dir.h"
#include "common/wire/protocol.h"

namespace pibrain {

namespace {

static_assert(std::endian::native == std::endian::little, "digests are over little-endian numbers");

// A walk spends almost all its time on the kernel's answers about single files, which several
// threads can request at once. A thread costs as much as some fifty of them.
constexpr unsigned MAX_THREADS = 4;
constexpr size_t DIRECTORIES_WORTH_THREADS = 16;

// How often a directory is read that changes while it is read.
constexpr int MAX_ATTEMPTS = 3;

constexpr int64_t NANOS = 1'000'000'000;  // of a second

void assignFileIds(Tree& tree) {
  uint64_t files = 0;
  for (auto& directory : tree.directories) {
    directory.firstFile = uint32_t(files);
    files += directory.files.size();
  }
  KJ_REQUIRE(files <= UINT32_MAX, "more files than ids");
  tree.files = uint32_t(files);
}

// mkfs creates this at the top of a filesystem for fsck, and only root may read it.
constexpr std::string_view LOST_AND_FOUND = "lost+found";

// Reads directories, one after the other, into a part of a tree.
class DirectoryReader {
 public:
  DirectoryReader(const RootedDir& root, const WalkOptions& options)
      : root_(root), options_(options) {}

  // Returns the paths of the directories in it.
  std::vector<std::string> read(const std::string& path) {
    path_ = path;
    auto opened = root_.open(path, O_RDONLY | O_DIRECTORY);
    if (opened.error != 0) {
      if (path == LOST_AND_FOUND && (opened.error == EACCES || opened.error == EPERM)) {
        ++part_.specialsSkipped;
        skip(path);
      } else {
        problem(path, reasonOf(opened.error));
      }
      return {};
    }
    DIR* dir = fdopendir(opened.fd);
    if (dir == nullptr) {
      problem(path, reasonOf(errno));
      return {};
    }
    opened.fd.release();
    KJ_DEFER(closedir(dir));
    if (options_.entered) options_.entered(dirfd(dir), path);
    readUntilSettled(dir);
    return finish();
  }

  Tree take() { return std::move(part_); }

 private:
  enum class Kind : uint16_t { FILE, DIRECTORY, SYMLINK, SPECIAL };
  struct Entry {
    Tree::File file;  // of an entry that is not a file, only the name
    Kind kind;
    uint16_t reading;
  };
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    int64_t mtime = 0, ctime = 0;
    bool operator==(const Stamp&) const = default;
  };

  // A name that a rename replaces in the meantime may be returned twice (btrfs, tmpfs), or not at
  // all. The directory's times show that, and then it is read again; every name that any reading
  // returned is kept.
  void readUntilSettled(DIR* dir) {
    names_.clear();
    entries_.clear();
    for (reading_ = 1; reading_ <= MAX_ATTEMPTS; ++reading_) {
      auto now = coarseNow();
      auto before = stampOf(dirfd(dir));
      problems_.clear();
      errno = 0;
      while (auto* entry = readdir(dir)) {
        examine(dirfd(dir), entry);
        errno = 0;
      }
      if (errno != 0) problems_.push_back({path_, reasonOf(errno)});
      bool settled = !dropRepeated() && stampOf(dirfd(dir)) == before;
      if (reading_ == 1) addStamp(before, now, settled);
      if (settled) break;
      rewinddir(dir);
    }
  }

  // The kernel takes files' times from this clock.
  static int64_t coarseNow() {
    struct timespec now = {};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return int64_t(now.tv_sec) * NANOS + now.tv_nsec;
  }

  static Stamp stampOf(int dir) {
    struct stat st;
    if (fstat(dir, &st) != 0) return {};
    return {st.st_dev, st.st_ino, mtimeOf(st),
            int64_t(st.st_ctim.tv_sec) * NANOS + st.st_ctim.tv_nsec};
  }

  void addStamp(const Stamp& stamp, int64_t now, bool settled) {
    piece_ = path_;
    piece_ += '\0';
    for (uint64_t one : {uint64_t(stamp.device), uint64_t(stamp.inode), uint64_t(stamp.mtime),
                         uint64_t(stamp.ctime)}) {
      piece_.append(reinterpret_cast<const char*>(&one), sizeof(one));
    }
    part_.stamps.sum += XXH3_64bits(piece_.data(), piece_.size());
    // Whole seconds are those of a filesystem without fractions; FAT counts two at a time.
    bool coarse = stamp.mtime % NANOS == 0 && stamp.ctime % NANOS == 0;
    auto isFresh = [&](int64_t time) {
      return time >= now - (coarse ? 2 * NANOS : 0) && time < now + NANOS;
    };
    part_.stamps.unsettled |= !settled || isFresh(stamp.mtime) || isFresh(stamp.ctime);
  }

  std::string_view nameOf(const Tree::File& file) const {
    return std::string_view(names_).substr(file.name, file.nameLength);
  }

  void examine(int dir, const struct dirent* entry) {
    std::string_view name(entry->d_name);
    if (name == "." || name == ".." || (path_.empty() && name == options_.skip)) return;
    auto kind = entry->d_type == DT_DIR                                  ? Kind::DIRECTORY
                : entry->d_type == DT_LNK                                ? Kind::SYMLINK
                : entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN ? Kind::FILE
                                                                         : Kind::SPECIAL;
    struct stat st = {};
    if (kind == Kind::FILE) {
      if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) problems_.push_back({joinPath(path_, name), reasonOf(errno)});
        return;
      }
      kind = S_ISREG(st.st_mode)   ? Kind::FILE
             : S_ISDIR(st.st_mode) ? Kind::DIRECTORY
             : S_ISLNK(st.st_mode) ? Kind::SYMLINK
                                   : Kind::SPECIAL;
    }
    if (isExcluded(name, kind == Kind::DIRECTORY)) return;
    if (kind == Kind::FILE || kind == Kind::DIRECTORY) {
      if (name.size() > MAX_NAME) {
        problems_.push_back({joinPath(path_, name), proto::Reason::NAME_TOO_LONG});
        return;
      }
      if (names_.size() + name.size() > UINT32_MAX) {
        problems_.push_back({joinPath(path_, name), proto::Reason::TOO_MANY});
        return;
      }
    }
    entries_.push_back({{uint64_t(st.st_size), mtimeOf(st), uint32_t(names_.size()),
                         uint16_t(name.size()), uint16_t(st.st_mode & 0777)},
                        kind,
                        uint16_t(reading_)});
    names_ += name;
  }

  bool isExcluded(std::string_view name, bool isDirectory) const {
    auto* exclusions = options_.exclusions;
    return exclusions != nullptr && !exclusions->empty() &&
           exclusions->match(joinPath(joinPath(options_.path, path_), name), isDirectory);
  }

  // Sorts the entries, and keeps the latest reading's of each name. Returns whether that reading
  // had a name twice.
  bool dropRepeated() {
    auto name = [this](const Entry& entry) { return nameOf(entry.file); };
    std::sort(entries_.begin(), entries_.end(), [&](auto& a, auto& b) {
      auto order = name(a) <=> name(b);
      return order != 0 ? order < 0 : a.reading > b.reading;
    });
    bool repeated = false;
    auto end = std::unique(entries_.begin(), entries_.end(), [&](auto& first, auto& second) {
      if (name(first) != name(second)) return false;
      repeated |= first.reading == reading_ && second.reading == reading_;
      return true;
    });
    entries_.erase(end, entries_.end());
    return repeated;
  }

  std::vector<std::string> finish() {
    std::vector<std::string> below;
    for (auto& problem : problems_) part_.problems.push_back(std::move(problem));
    size_t files = 0;
    for (auto& entry : entries_) {
      switch (entry.kind) {
        case Kind::FILE:
          ++files;
          break;
        case Kind::DIRECTORY:
          descend(nameOf(entry.file), below);
          break;
        case Kind::SYMLINK:
          ++part_.symlinksSkipped;
          skip(joinPath(path_, nameOf(entry.file)));
          break;
        case Kind::SPECIAL:
          ++part_.specialsSkipped;
          skip(joinPath(path_, nameOf(entry.file)));
          break;
      }
    }
    if (files > 0) addFiles(files);
    return below;
  }

  void descend(std::string_view name, std::vector<std::string>& below) {
    auto path = joinPath(path_, name);
    if (std::count(path.begin(), path.end(), '/') + 2 > ptrdiff_t(MAX_DEPTH)) {
      problem(path, proto::Reason::TOO_DEEP);
    } else {
      below.push_back(std::move(path));
    }
  }

  void addFiles(size_t count) {
    auto& directory = part_.directories.emplace_back();
    directory.path = path_;
    // Exactly as large as needed: a spoke may have little memory and a large tree.
    directory.files.reserve(count);
    for (auto& entry : entries_) {
      if (entry.kind != Kind::FILE) continue;
      directory.files.push_back(entry.file);
      part_.bytes += entry.file.size;
    }
    directory.names = names_;
    directory.digest = digestOf(directory, options_.digests, piece_);
  }

  void problem(std::string path, proto::Reason reason) {
    part_.problems.push_back({std::move(path), reason});
  }

  void skip(std::string path) {
    if (part_.skipped.size() < MAX_SKIPPED) part_.skipped.push_back(std::move(path));
  }

  const RootedDir& root_;
  const WalkOptions& options_;
  Tree part_;
  // Of the directory that is being read; reused for all of them.
  std::string path_;
  std::vector<Entry> entries_;
  std::vector<Tree::Problem> problems_;
  std::string names_, piece_;
  int reading_ = 0;
};

// The directories still to be read, and the threads that read them.
class Walk {
 public:
  Walk(int root, const WalkOptions& options)
      : root_(kj::AutoCloseFd(openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))),
        options_(options) {
    if (root_.fd() < 0) throwErrno(errno, "cannot read the directory");
  }

  ~Walk() { join(); }

  Tree run() {
    work();
    join();
    KJ_IF_MAYBE(e, failure_) kj::throwFatalException(kj::mv(*e));
    std::sort(tree_.directories.begin(), tree_.directories.end(),
              [](auto& a, auto& b) { return a.path < b.path; });
    std::sort(tree_.problems.begin(), tree_.problems.end(),
              [](auto& a, auto& b) { return a.path < b.path; });
    std::sort(tree_.skipped.begin(), tree_.skipped.end());
    assignFileIds(tree_);
    return std::move(tree_);
  }

 private:
  void join() {
    for (auto& helper : helpers_) {
      if (helper.joinable()) helper.join();
    }
  }

  void work() {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([this]() { readAll(); })) {
      std::lock_guard lock(mutex_);
      failure_ = kj::mv(*e);
      pending_.clear();
      changed_.notify_all();
    }
  }

  void readAll() {
    DirectoryReader reader(root_, options_);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&]() { return !pending_.empty() || busy_ == 0; });
      if (pending_.empty()) break;  // and no thread reads a directory that might add more
      auto path = std::move(pending_.back());
      pending_.pop_back();
      std::vector<std::string> below;
      {
        ++busy_;
        KJ_DEFER(--busy_);
        lock.unlock();
        KJ_DEFER(lock.lock());
        below = reader.read(path);
      }
      bool news = !below.empty() || (pending_.empty() && busy_ == 0);
      std::move(below.begin(), below.end(), std::back_inserter(pending_));
      getHelp();
      if (news && !helpers_.empty()) changed_.notify_all();
    }
    merge(reader.take());
  }

  void getHelp() {
    if (!helpers_.empty() || pending_.size() < DIRECTORIES_WORTH_THREADS) return;
    unsigned threads = std::min(std::thread::hardware_concurrency(), MAX_THREADS);
    try {
      for (unsigned i = 1; i < threads; ++i) helpers_.emplace_back([this]() { work(); });
    } catch (const std::system_error&) {
      // This user can have no more threads: the walk goes on without.
    }
  }

  void merge(Tree part) {
    std::move(part.directories.begin(), part.directories.end(),
              std::back_inserter(tree_.directories));
    std::move(part.problems.begin(), part.problems.end(), std::back_inserter(tree_.problems));
    std::move(part.skipped.begin(), part.skipped.end(), std::back_inserter(tree_.skipped));
    if (tree_.skipped.size() > MAX_SKIPPED) tree_.skipped.resize(MAX_SKIPPED);
    tree_.stamps.sum += part.stamps.sum;
    tree_.stamps.unsettled |= part.stamps.unsettled;
    tree_.bytes += part.bytes;
    tree_.symlinksSkipped += part.symlinksSkipped;
    tree_.specialsSkipped += part.specialsSkipped;
  }

  const RootedDir root_;
  const WalkOptions& options_;
  std::vector<std::thread> helpers_;  // started and joined by the thread in run()

  std::mutex mutex_;  // guards the members below
  std::condition_variable changed_;
  std::vector<std::string> pending_{""};
  size_t busy_ = 0;
  // A value: KJ aborts if an exception of its own ends in a thread that did not throw it.
  kj::Maybe<kj::Exception> failure_;
  Tree tree_;
};

}  // namespace

Tree walkTree(int root, const WalkOptions& options) {
  for (int attempt = 1;; ++attempt) {
    auto tree = Walk(root, options).run();
    // That a directory vanishes is no error. But its parent may have been renamed with all that it
    // holds, and the walk may have missed the new name.
    bool settled = std::none_of(tree.problems.begin(), tree.problems.end(), [](auto& problem) {
      return problem.reason == proto::Reason::VANISHED && !problem.path.empty();
    });
    if (settled || attempt == MAX_ATTEMPTS) return tree;
  }
}

bool agree(const Tree::Stamps& first, const Tree::Stamps& second) {
  return !first.unsettled && !second.unsettled && first.sum == second.sum;
}

}  // namespace pibrain
