#include "common/tree-walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>

#include "common/file-io.h"
#include "common/protocol.h"
#include "common/rooted-dir.h"
#include "common/thread-failure.h"

namespace pibrain {

namespace {

static_assert(std::endian::native == std::endian::little, "digests are over little-endian numbers");

// Almost all of a walk's time are the kernel's answers about single files, which several threads
// can ask for at once. A thread costs as much as some fifty of those.
constexpr unsigned MAX_THREADS = 4;
constexpr size_t DIRECTORIES_WORTH_THREADS = 16;

// Enough for a few hundred files: one call of the hash function for most directories.
constexpr size_t HASH_PIECE = 32 * 1024;

void append(std::string& out, uint64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void appendRecord(std::string& out, const Tree::Directory& directory, const Tree::File& file) {
  out += directory.name(file);
  out += '\0';
  append(out, file.size);
  append(out, uint64_t(file.mtime));
}

// `piece` is scratch, so that a walk takes memory for it once.
uint64_t digestOf(const Tree::Directory& directory, std::string& piece) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  piece = directory.path;
  piece += '\0';
  for (auto& file : directory.files) {
    appendRecord(piece, directory, file);
    if (piece.size() >= HASH_PIECE) {
      XXH3_64bits_update(&state, piece.data(), piece.size());
      piece.clear();
    }
  }
  XXH3_64bits_update(&state, piece.data(), piece.size());
  return XXH3_64bits_digest(&state);
}

void number(Tree& tree) {
  uint64_t files = 0;
  for (auto& directory : tree.directories) {
    directory.firstFile = uint32_t(files);
    files += directory.files.size();
  }
  KJ_REQUIRE(files <= UINT32_MAX, "more files than ids");
  tree.files = uint32_t(files);
}

// Reads directories, one after the other, into a part of a tree.
class DirectoryReader {
 public:
  DirectoryReader(const RootedDir& root, const WalkOptions& options)
      : root_(root), options_(options) {}

  // Returns the paths of the directories in it.
  std::vector<std::string> read(const std::string& path) {
    path_ = path;
    below_.clear();
    auto opened = root_.open(path, O_RDONLY | O_DIRECTORY);
    if (opened.error != 0) {
      // Gone since the directory above was read: as if it had never been there. Deeper, it may be
      // a directory above that has another name now, with all of this in it.
      bool gone = opened.error == ENOENT && path.find('/') == std::string::npos;
      if (!gone) problem(path, reasonOf(opened.error));
      return {};
    }
    DIR* dir = fdopendir(opened.fd);
    if (dir == nullptr) {
      problem(path, reasonOf(errno));
      return {};
    }
    opened.fd.release();
    KJ_DEFER(closedir(dir));
    files_.clear();
    names_.clear();
    errno = 0;
    while (auto* entry = readdir(dir)) {
      examine(dirfd(dir), entry);
      errno = 0;
    }
    if (errno != 0) problem(path, reasonOf(errno));
    finish();
    return std::move(below_);
  }

  Tree take() { return std::move(part_); }

 private:
  void examine(int dir, const struct dirent* entry) {
    std::string_view name(entry->d_name);
    if (name == "." || name == ".." || (path_.empty() && name == options_.skip)) return;
    switch (entry->d_type) {
      case DT_DIR:
        return descend(name);
      case DT_LNK:
        ++part_.symlinksSkipped;
        return;
      case DT_REG:
      case DT_UNKNOWN:
        break;
      default:
        ++part_.specialsSkipped;
        return;
    }
    struct stat st;
    if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) problem(joinPath(path_, name), reasonOf(errno));
    } else if (S_ISREG(st.st_mode)) {
      addFile(name, st);
    } else if (S_ISDIR(st.st_mode)) {
      descend(name);
    } else if (S_ISLNK(st.st_mode)) {
      ++part_.symlinksSkipped;
    } else {
      ++part_.specialsSkipped;
    }
  }

  void descend(std::string_view name) {
    auto path = joinPath(path_, name);
    if (std::count(path.begin(), path.end(), '/') + 2 > ptrdiff_t(MAX_DEPTH)) {
      problem(path, proto::Reason::TOO_DEEP);
    } else {
      below_.push_back(std::move(path));
    }
  }

  void addFile(std::string_view name, const struct stat& st) {
    if (names_.size() + name.size() > UINT32_MAX) {
      problem(joinPath(path_, name), proto::Reason::TOO_MANY);
      return;
    }
    files_.push_back(
        {uint64_t(st.st_size), mtimeOf(st), uint32_t(names_.size()), uint16_t(name.size())});
    names_ += name;
    part_.bytes += uint64_t(st.st_size);
  }

  void finish() {
    if (files_.empty()) return;
    auto& directory = part_.directories.emplace_back();
    directory.path = path_;
    // Exactly as large as needed: a spoke's memory may be small and its tree large.
    directory.files = files_;
    directory.names = names_;
    std::sort(directory.files.begin(), directory.files.end(),
              [&](auto& a, auto& b) { return directory.name(a) < directory.name(b); });
    directory.digest = digestOf(directory, piece_);
  }

  void problem(std::string path, proto::Reason reason) {
    part_.problems.push_back({std::move(path), reason});
  }

  const RootedDir& root_;
  const WalkOptions& options_;
  Tree part_;
  // Of the directory that is being read; the vectors serve all of them in turn.
  std::string path_;
  std::vector<std::string> below_;
  std::vector<Tree::File> files_;
  std::string names_, piece_;
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
    failure_.rethrow();
    std::sort(tree_.directories.begin(), tree_.directories.end(),
              [](auto& a, auto& b) { return a.path < b.path; });
    std::sort(tree_.problems.begin(), tree_.problems.end(),
              [](auto& a, auto& b) { return a.path < b.path; });
    number(tree_);
    return std::move(tree_);
  }

 private:
  void join() {
    for (auto& helper : helpers_) {
      if (helper.joinable()) helper.join();
    }
  }

  void work() {
    ThreadFailure failure;
    bool done = false;
    failure.guard([&]() {
      readAll();
      done = true;
    });
    if (done) return;
    std::lock_guard lock(mutex_);
    failure_ = kj::mv(failure);
    pending_.clear();
    changed_.notify_all();
  }

  void readAll() {
    DirectoryReader reader(root_, options_);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&]() { return !pending_.empty() || busy_ == 0; });
      if (pending_.empty()) break;  // and nobody reads a directory that might have more
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
      // No more threads for this user: it goes without.
    }
  }

  void merge(Tree part) {
    std::move(part.directories.begin(), part.directories.end(),
              std::back_inserter(tree_.directories));
    std::move(part.problems.begin(), part.problems.end(), std::back_inserter(tree_.problems));
    tree_.bytes += part.bytes;
    tree_.symlinksSkipped += part.symlinksSkipped;
    tree_.specialsSkipped += part.specialsSkipped;
  }

  const RootedDir root_;
  const WalkOptions& options_;
  std::vector<std::thread> helpers_;  // begun, and joined, by the thread in run()

  std::mutex mutex_;  // for what follows
  std::condition_variable changed_;
  std::vector<std::string> pending_{""};
  size_t busy_ = 0;
  ThreadFailure failure_;
  Tree tree_;
};

}  // namespace

std::string Tree::Directory::pathOf(const File& file) const { return joinPath(path, name(file)); }

kj::Maybe<Tree::Found> Tree::find(uint32_t id) const {
  if (id >= files) return nullptr;
  auto after =
      std::upper_bound(directories.begin(), directories.end(), id,
                       [](uint32_t i, auto& directory) { return i < directory.firstFile; });
  auto& directory = *std::prev(after);
  return Found{directory, directory.files[id - directory.firstFile]};
}

kj::Maybe<uint32_t> Tree::idOf(std::string_view path) const {
  auto above = parentOf(path);
  auto directory = std::lower_bound(directories.begin(), directories.end(), above,
                                    [](auto& d, auto wanted) { return d.path < wanted; });
  if (directory == directories.end() || directory->path != above) return nullptr;
  auto name = baseNameOf(path);
  auto& inside = directory->files;
  auto file = std::lower_bound(inside.begin(), inside.end(), name,
                               [&](auto& f, auto wanted) { return directory->name(f) < wanted; });
  if (file == inside.end() || directory->name(*file) != name) return nullptr;
  return directory->firstFile + uint32_t(file - inside.begin());
}

Tree walkTree(int root, const WalkOptions& options) { return Walk(root, options).run(); }

void dropFiles(Tree::Directory& directory, const std::function<bool(const std::string&)>& drop) {
  std::erase_if(directory.files, [&](auto& file) { return drop(directory.pathOf(file)); });
  std::string piece;
  directory.digest = digestOf(directory, piece);
}

uint64_t fingerprintOf(const Tree::Directory& directory, const Tree::File& file) {
  std::string record;
  appendRecord(record, directory, file);
  uint64_t hash = XXH3_64bits(record.data(), record.size());
  return hash == 0 ? 1 : hash;
}

Digest treeDigest(const Tree& tree) {
  std::vector<uint64_t> digests;
  digests.reserve(tree.directories.size());
  for (auto& directory : tree.directories) digests.push_back(directory.digest);
  return treeDigest(std::move(digests));
}

Digest treeDigest(std::vector<uint64_t> digests) {
  std::sort(digests.begin(), digests.end());
  return digestOf(kj::arrayPtr(reinterpret_cast<const kj::byte*>(digests.data()),
                               digests.size() * sizeof(uint64_t)));
}

}  // namespace pibrain
