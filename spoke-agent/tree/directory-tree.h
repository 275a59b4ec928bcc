#pragma once

#include <future>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

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
  Tree lookInto(const std::string& directory, const Entered& entered) const override;
  kj::Maybe<uint32_t> include(const std::string& path) override;
  bool leavesOut(const std::string& path, bool isDirectory) const override {
    return exclusions_.cover(path, isDirectory);
  }
  std::shared_ptr<const Tree> tree() const override { return tree_; }
  kj::OneOf<File, proto::Reason> open(const Tree& tree, uint32_t id) const override;

 private:
  // More would be a reason to scan.
  static constexpr size_t MAX_INCLUDED = 20'000;

  Tree walk(const Entered& entered = nullptr) const;
  // Returns the path of the file with this id; null if there is none.
  kj::Maybe<std::string> pathOf(const Tree& tree, uint32_t id) const;

  std::string path_;
  const Exclusions exclusions_;
  kj::Maybe<RootedDir> dir_;
  proto::RootState state_;
  std::future<Tree> begun_;  // its thread reads dir_
  std::shared_ptr<const Tree> tree_;
  // The files that came after tree_, with the ids that follow its own.
  std::vector<std::string> included_;
  std::unordered_map<std::string, uint32_t> idsOfIncluded_;
};

// Returns the absolute path, with $HOME in place of "~" in "~" and "~/…".
std::string expandPath(const std::string& path);

}  // namespace pibrain
