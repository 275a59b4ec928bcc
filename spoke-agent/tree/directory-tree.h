#pragma once

#include <future>
#include <memory>
#include <string>

#include "common/fs/rooted-dir.h"
#include "common/text/exclusions.h"
#include "spoke-agent/tree/tree-source.h"

namespace pibrain {

// The files beneath a directory. A scan is a walk.
class DirectoryTree : public TreeSource {
 public:
  // `path` as in --root: "~" and "~/…" are $HOME, a relative path is beneath the working directory.
  // What `exclusions` match is not served: neither listed nor opened.
  explicit DirectoryTree(const std::string& path, Exclusions exclusions = {});

  // Returns the directory's descriptor; -1 if it is not served.
  int fd() const;

  // Starts a walk in the background, for the first scan().
  void prefetchScan();

  const std::string& path() const override { return path_; }
  proto::RootState state() const override { return state_; }
  std::shared_ptr<const Tree> scan() override;
  std::shared_ptr<const Tree> scanUntilAtRest(bool& atRest) override;
  Tree look(const Entered& entered) const override { return walk(entered); }
  bool leavesOut(const std::string& path) const override { return exclusions_.coverFile(path); }
  std::shared_ptr<const Tree> tree() const override { return tree_; }
  kj::OneOf<File, proto::Reason> open(const Tree& tree, uint32_t id) const override;

 private:
  Tree walk(const Entered& entered = nullptr) const;

  std::string path_;
  const Exclusions exclusions_;
  kj::Maybe<RootedDir> dir_;
  proto::RootState state_;
  std::future<Tree> begun_;  // its thread reads dir_
  std::shared_ptr<const Tree> tree_;
};

// Returns the absolute path, with $HOME in place of "~" in "~" and "~/…".
std::string expandPath(const std::string& path);

}  // namespace pibrain
