#pragma once
// A spoke's tree, with a secret outside it that no hub may see.

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "common/fs/rooted-dir.h"
#include "common/tree/tree-walk.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

inline constexpr char SECRET[] = "outside of the root: nobody may see this";

class SmallTree {
 public:
  SmallTree() : dir_(scratch()) {
    dir_.write("secret.jsonl", SECRET);
    auto parent = linesOf(3000, 1);
    add("a/2026-01-31T12-00-00-000Z_one.jsonl", parent);
    add("a/2026-01-31T13-00-00-000Z_fork.jsonl",
        "{\"type\":\"session\",\"parentSession\":\"/old/a/2026-01-31T12-00-00-000Z_one.jsonl\"}\n" +
            parent + linesOf(500, 2));
    add(UNFINISHED, linesOf(300, 3) + "{\"type\":");
    add("b/c/large.jsonl", linesOf(12'000, 4));
    add("b/empty.jsonl", "");
    add("b/noise", noise(600, 5));
    add("note.txt", "not a session\n");
    if (symlink("../secret.jsonl", (root() + "/link.jsonl").c_str()) != 0 ||
        symlink("..", (root() + "/b/up").c_str()) != 0 ||
        mkfifo((root() + "/fifo.jsonl").c_str(), 0600) != 0) {
      throw std::runtime_error("cannot make the tree");
    }
  }

  std::string root() const { return dir_ / "root"; }
  // By id: a walk sorts directories by path, and files by name.
  const std::string& content(uint32_t id) const { return byId().at(id)->second; }
  const std::string& path(uint32_t id) const { return byId().at(id)->first; }
  bool isFresh(uint32_t id) const { return fresh_ && path(id) == UNFINISHED; }
  Tree walk() const {
    return walkTree(kj::AutoCloseFd(open(root().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  }
  uint32_t count() const { return uint32_t(files_.size()); }

  // Gives a file the time of one that is being written, or an old one.
  void setFresh(bool fresh) {
    if (fresh || fresh_)
      pibrain::setMtime(root() + "/" + UNFINISHED, fresh ? wallClockNanos() : OLD);
    fresh_ = fresh;
  }

 private:
  static constexpr char UNFINISHED[] = "a/unfinished.jsonl";
  using Files = std::map<std::string, std::string>;
  void add(const std::string& path, const std::string& content) {
    dir_.write("root/" + path, content);
    files_[path] = content;
  }
  std::vector<Files::const_iterator> byId() const {
    std::vector<Files::const_iterator> order;
    for (auto it = files_.begin(); it != files_.end(); ++it) order.push_back(it);
    auto key = [](auto& it) { return std::make_pair(parentOf(it->first), baseNameOf(it->first)); };
    std::sort(order.begin(), order.end(), [&](auto& a, auto& b) { return key(a) < key(b); });
    return order;
  }

  TempDir dir_;
  Files files_;
  bool fresh_ = false;
};

}  // namespace pibrain::fuzz
