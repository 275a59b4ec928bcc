#pragma once
// The directory that the agent serves, and the scan by whose ids its files are named.

#include <kj/common.h>
#include <kj/one-of.h>
#include <kj/refcount.h>

#include <future>
#include <memory>
#include <string>

#include "common/fs/rooted-dir.h"
#include "common/tree/tree-walk.h"
#include "proto/agent.capnp.h"

namespace pibrain {

class Root : public kj::Refcounted {
 public:
  // `path` as in --root: "~" and "~/…" are $HOME, a relative path is below the working directory.
  explicit Root(const std::string& path);

  const std::string& path() const { return path_; }
  proto::RootState state() const { return state_; }
  // The directory's descriptor; -1 if it is not served.
  int fd() const;

  // Begins a walk in the background, for the first scan().
  void beginScan();

  // Walks the tree anew; ids of earlier scans stay valid for those who hold their tree.
  std::shared_ptr<const Tree> scan();
  // Walks it anew, a few times if need be, until no directory changed since the walk before. That
  // may be the last scan's. Sets `atRest` to whether that came to pass.
  std::shared_ptr<const Tree> scanUntilAtRest(bool& atRest);
  // The latest scan's tree; null before the first.
  std::shared_ptr<const Tree> tree() const { return tree_; }

  // A regular file of the tree, opened for reading, as it was when it was opened.
  struct File {
    kj::AutoCloseFd fd;
    std::string path;  // relative to the root
    uint64_t size = 0;
    int64_t mtime = 0;
    uint16_t mode = 0;
    uint64_t holes = 0;  // bytes of `size` that take no room, if they are many
  };
  // The file, or the reason why it cannot be read.
  kj::OneOf<File, proto::Reason> open(const Tree& tree, uint32_t id) const;

 private:
  std::string path_;
  kj::Maybe<RootedDir> dir_;
  proto::RootState state_;
  Tree walk() const;

  std::future<Tree> begun_;  // its thread reads dir_
  std::shared_ptr<const Tree> tree_;
};

// "~" and "~/…" with $HOME, anything else made absolute.
std::string expandPath(const std::string& path);

}  // namespace pibrain
