#include "common/tree-walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "common/file-io.h"
#include "common/protocol.h"

namespace pibrain {

namespace {

static_assert(std::endian::native == std::endian::little, "digests are over little-endian numbers");

void computeDigest(const Tree& tree, Tree::Directory& directory) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  auto path = tree.path(directory);
  XXH3_64bits_update(&state, path.data(), path.size());
  XXH3_64bits_update(&state, "", 1);
  for (uint32_t i = 0; i < directory.fileCount; ++i) {
    auto& file = tree.files[directory.firstFile + i];
    auto name = tree.name(file);
    XXH3_64bits_update(&state, name.data(), name.size());
    XXH3_64bits_update(&state, "", 1);
    XXH3_64bits_update(&state, &file.size, sizeof(file.size));
    XXH3_64bits_update(&state, &file.mtime, sizeof(file.mtime));
  }
  directory.digest = XXH3_64bits_digest(&state);
}

class Walk {
 public:
  explicit Walk(const WalkOptions& options) : options_(options) {}

  // Takes the descriptor over.
  void directory(int fd, size_t depth) {
    DIR* dir = fdopendir(fd);
    if (dir == nullptr) {
      int error = errno;
      close(fd);
      problem(path_, reasonOf(error));
      return;
    }
    KJ_DEFER(closedir(dir));
    size_t firstFile = tree_.files.size();
    std::vector<std::string> below;
    errno = 0;
    while (auto* entry = readdir(dir)) {
      examine(dirfd(dir), entry, depth, below);
      errno = 0;
    }
    if (errno != 0) problem(path_, reasonOf(errno));
    finishDirectory(firstFile);
    for (auto& name : below) descend(dirfd(dir), name, depth);
  }

  Tree take() {
    tree_.files.shrink_to_fit();
    tree_.text.shrink_to_fit();
    return std::move(tree_);
  }

 private:
  void examine(int dir, const struct dirent* entry, size_t depth, std::vector<std::string>& below) {
    std::string_view name(entry->d_name);
    if (name == "." || name == ".." || (depth == 0 && name == options_.skip)) return;
    switch (entry->d_type) {
      case DT_DIR:
        below.emplace_back(name);
        return;
      case DT_LNK:
        ++tree_.symlinksSkipped;
        return;
      case DT_REG:
      case DT_UNKNOWN:
        break;
      default:
        ++tree_.specialsSkipped;
        return;
    }
    struct stat st;
    if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      // Gone since the directory was read: as if it had never been there.
      if (errno != ENOENT) problem(join(name), reasonOf(errno));
    } else if (S_ISREG(st.st_mode)) {
      addFile(name, st);
    } else if (S_ISDIR(st.st_mode)) {
      below.emplace_back(name);
    } else if (S_ISLNK(st.st_mode)) {
      ++tree_.symlinksSkipped;
    } else {
      ++tree_.specialsSkipped;
    }
  }

  void addFile(std::string_view name, const struct stat& st) {
    if (tree_.text.size() + name.size() > UINT32_MAX || tree_.files.size() >= UINT32_MAX) {
      problem(join(name), proto::Reason::TOO_MANY);
      return;
    }
    tree_.files.push_back({uint64_t(st.st_size), mtimeOf(st), uint32_t(tree_.text.size()),
                           uint32_t(tree_.directories.size()), uint16_t(name.size())});
    tree_.text += name;
    tree_.bytes += uint64_t(st.st_size);
  }

  void finishDirectory(size_t firstFile) {
    size_t count = tree_.files.size() - firstFile;
    if (count == 0) return;
    std::sort(tree_.files.begin() + ptrdiff_t(firstFile), tree_.files.end(),
              [&](auto& a, auto& b) { return tree_.name(a) < tree_.name(b); });
    Tree::Directory directory{0, uint32_t(tree_.text.size()), uint32_t(path_.size()),
                              uint32_t(firstFile), uint32_t(count)};
    tree_.text += path_;
    computeDigest(tree_, directory);
    tree_.directories.push_back(directory);
  }

  void descend(int dir, const std::string& name, size_t depth) {
    size_t length = path_.size();
    path_ = join(name);
    if (depth + 1 >= MAX_DEPTH) {
      problem(path_, proto::Reason::TOO_DEEP);
    } else {
      int fd = openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (fd >= 0) {
        directory(fd, depth + 1);
      } else if (errno != ENOENT) {
        problem(path_, reasonOf(errno));
      }
    }
    path_.resize(length);
  }

  std::string join(std::string_view name) const {
    std::string path = path_;
    if (!path.empty()) path += '/';
    path += name;
    return path;
  }

  void problem(std::string path, proto::Reason reason) {
    tree_.problems.push_back({std::move(path), reason});
  }

  const WalkOptions& options_;
  Tree tree_;
  std::string path_;  // of the directory being read
};

}  // namespace

std::string Tree::pathOf(const File& file) const {
  std::string result(path(directories[file.directory]));
  if (!result.empty()) result += '/';
  result += name(file);
  return result;
}

Tree walkTree(int root, const WalkOptions& options) {
  Walk walk(options);
  int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throwErrno(errno, "cannot read the directory");
  walk.directory(fd, 0);
  return walk.take();
}

void dropFiles(Tree& tree, const std::function<bool(const std::string&)>& drop) {
  std::vector<Tree::Directory> directories;
  std::vector<Tree::File> files;
  tree.bytes = 0;
  for (auto directory : tree.directories) {
    auto firstFile = uint32_t(files.size());
    for (uint32_t i = 0; i < directory.fileCount; ++i) {
      auto file = tree.files[directory.firstFile + i];
      if (drop(tree.pathOf(file))) continue;
      file.directory = uint32_t(directories.size());
      files.push_back(file);
      tree.bytes += file.size;
    }
    directory.firstFile = firstFile;
    directory.fileCount = uint32_t(files.size()) - firstFile;
    if (directory.fileCount > 0) directories.push_back(directory);
  }
  tree.files = std::move(files);
  tree.directories = std::move(directories);
  for (auto& directory : tree.directories) computeDigest(tree, directory);
}

Digest treeDigest(const Tree& tree) {
  std::vector<uint64_t> digests;
  digests.reserve(tree.directories.size());
  for (auto& directory : tree.directories) digests.push_back(directory.digest);
  std::sort(digests.begin(), digests.end());
  return digestOf(kj::arrayPtr(reinterpret_cast<const kj::byte*>(digests.data()),
                               digests.size() * sizeof(uint64_t)));
}

}  // namespace pibrain
