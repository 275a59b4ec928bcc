#include "spoke-agent/tree/directory-tree.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/text/environment.h"
#include "common/text/tilde.h"
#include "common/tree/tree-walk.h"

namespace pibrain {

namespace {

// For a tree at rest: each pause between walks is at least a tick of the kernel's clock.
constexpr int MAX_WALKS = 20;
constexpr std::chrono::milliseconds FIRST_PAUSE(5), MAX_PAUSE(20);
constexpr std::chrono::seconds PATIENCE(2);

// Fewer bytes in holes than these are not reported.
constexpr uint64_t MIN_HOLES = 1 << 20;

}  // namespace

std::string expandPath(const std::string& path) {
  if (beginsWithTilde(path)) return expandTilde(path, environment("HOME"));
  if (path.starts_with('/')) return path;
  char directory[PATH_MAX];
  if (getcwd(directory, sizeof(directory)) == nullptr) return path;
  return std::string(directory) + "/" + path;
}

DirectoryTree::DirectoryTree(const std::string& path, Exclusions exclusions)
    : path_(expandPath(path)), exclusions_(std::move(exclusions)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  // The root's own path comes from authorized_keys, so its owner wants a symlink in it to be
  // followed.
  int fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    dir_ = RootedDir(kj::AutoCloseFd(fd));
    state_ = proto::RootState::SERVED;
  } else {
    state_ = errno == ENOENT    ? proto::RootState::MISSING
             : errno == ENOTDIR ? proto::RootState::NOT_A_DIRECTORY
                                : proto::RootState::DENIED;
  }
}

int DirectoryTree::fd() const {
  KJ_IF_MAYBE(dir, dir_) return dir->fd();
  return -1;
}

void DirectoryTree::prefetchScan() {
  try {
    begun_ = std::async(std::launch::async, [this]() { return walk(); });
  } catch (const std::system_error&) {
    // This user can have no more threads: scan() will walk.
  }
}

std::shared_ptr<const Tree> DirectoryTree::scan() {
  tree_ = std::make_shared<const Tree>(begun_.valid() ? begun_.get() : walk());
  included_.clear();
  idsOfIncluded_.clear();
  return tree_;
}

std::shared_ptr<const Tree> DirectoryTree::scanUntilAtRest(bool& atRest) {
  auto begun = std::chrono::steady_clock::now();
  auto pause = FIRST_PAUSE;
  if (tree_ == nullptr) scan();
  for (int walks = 1;; ++walks) {
    auto before = tree_->stamps;
    scan();
    atRest = agree(before, tree_->stamps);
    bool tooLong = std::chrono::steady_clock::now() - begun > PATIENCE;
    if (atRest || walks == MAX_WALKS || tooLong) return tree_;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, MAX_PAUSE);
  }
}

Tree DirectoryTree::walk(const Entered& entered) const {
  Tree tree;
  WalkOptions options;
  options.exclusions = &exclusions_;
  options.entered = entered;
  KJ_IF_MAYBE(dir, dir_) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { tree = walkTree(dir->fd(), options); })) {
      tree.problems.push_back({"", proto::Reason::IO_ERROR});
    }
  } else {
    tree.problems.push_back({"", proto::Reason::VANISHED});
  }
  return tree;
}

Tree DirectoryTree::lookInto(const std::string& directory, const Entered& entered) const {
  Tree tree;
  if (leavesOut(directory, true)) return tree;
  KJ_IF_MAYBE(dir, dir_) {
    auto opened = dir->open(directory, O_RDONLY | O_DIRECTORY);
    if (opened.error != 0) {
      tree.problems.push_back({"", reasonOf(opened.error)});
      return tree;
    }
    WalkOptions options;
    options.exclusions = &exclusions_;
    options.path = directory;
    options.entered = entered;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { tree = walkTree(opened.fd, options); })) {
      tree.problems.push_back({"", proto::Reason::IO_ERROR});
    }
  }
  return tree;
}

kj::Maybe<uint32_t> DirectoryTree::include(const std::string& path) {
  if (tree_ == nullptr) return nullptr;
  KJ_IF_MAYBE(id, tree_->idOf(path)) return *id;
  auto known = idsOfIncluded_.find(path);
  if (known != idsOfIncluded_.end()) return known->second;
  if (included_.size() >= MAX_INCLUDED) return nullptr;
  auto id = uint32_t(tree_->files + included_.size());
  included_.push_back(path);
  if (!open(*tree_, id).is<File>()) {
    included_.pop_back();
    return nullptr;
  }
  idsOfIncluded_.emplace(path, id);
  return id;
}

kj::Maybe<std::string> DirectoryTree::pathOf(const Tree& tree, uint32_t id) const {
  KJ_IF_MAYBE(found, tree.find(id)) return found->directory.pathOf(found->file);
  bool included = &tree == tree_.get() && id - tree.files < included_.size();
  if (included) return included_[id - tree.files];
  return nullptr;
}

kj::OneOf<DirectoryTree::File, proto::Reason> DirectoryTree::open(const Tree& tree,
                                                                  uint32_t id) const {
  std::string path;
  KJ_IF_MAYBE(found, pathOf(tree, id)) {
    path = kj::mv(*found);
  } else {
    return proto::Reason::BAD_REQUEST;
  }
  // No scan has such a file, but a hub that asks for one must not get it.
  if (exclusions_.coverFile(path)) return proto::Reason::BAD_REQUEST;
  auto& dir = KJ_REQUIRE_NONNULL(dir_);
  auto opened = dir.open(path, O_RDONLY);
  if (opened.error != 0) return reasonOf(opened.error);
  struct stat st;
  if (fstat(opened.fd, &st) != 0) return reasonOf(errno);
  if (!S_ISREG(st.st_mode)) return proto::Reason::NOT_REGULAR;
  uint64_t size = uint64_t(st.st_size), taken = uint64_t(st.st_blocks) * 512;
  uint64_t holes = size > taken && size - taken >= MIN_HOLES ? size - taken : 0;
  return File{
      kj::mv(opened.fd), std::move(path), size, mtimeOf(st), uint16_t(st.st_mode & 0777), holes};
}

}  // namespace pibrain
