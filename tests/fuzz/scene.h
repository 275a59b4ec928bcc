#pragma once
// A hub's mirror with an archive and a canary beside it, and the checks of them after a run with an
// agent that lies.

#include <filesystem>
#include <map>
#include <set>

#include "hub/agent/plan.h"
#include "hub/mirror/mirror.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

class Scene {
 public:
  Scene() : dir_(scratch()) {
    dir_.write("canary/file.jsonl", CANARY);
    static const auto large = linesOf(20'000, 1);
    add("a/grows.jsonl", linesOf(600, 2));
    add("a/large.jsonl", large);
    add("a/b/moves.jsonl", linesOf(300, 3));
    add("c/shrinks.jsonl", large + linesOf(900, 4));
    add("top.txt", "a few bytes");
    add("stands/where/a.jsonl", "a directory, where the spoke may have a file\n");
    add("file", "a file, where the spoke may have a directory\n");
    add("c/two-names.jsonl", linesOf(500, 5));
    std::filesystem::create_hard_link(mirror() + "/c/two-names.jsonl", mirror() + "/c/second");
    before_["c/second"] = before_["c/two-names.jsonl"];
    // Not made by a sync, but by somebody else.
    std::filesystem::create_symlink("../../canary", mirror() + "/a/out");
  }

  std::string mirror() const { return dir_ / "mirror"; }
  std::string archive() const { return dir_ / "archive"; }
  const std::map<std::string, std::string>& before() const { return before_; }

  // The content that a path of the mirror may have afterwards, besides its old one.
  using Allowed = std::map<std::string, std::set<Digest>>;

  void check(const Allowed& allowed) const {
    std::set<std::string> names;
    for (auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      names.insert(entry.path().filename());
    }
    names.erase("archive");
    require(names == std::set<std::string>{"canary", "mirror"},
            "nothing appears beside the mirror (P2)");
    auto canary = filesIn(dir_ / "canary");
    require(canary.size() == 1 && canary["file.jsonl"] == CANARY &&
                dir_.mtime("canary/file.jsonl") == OLD && dir_.mode("canary/file.jsonl") == 0600,
            "the canary is unchanged (P2)");
    auto now = filesIn(mirror());
    checkPublished(now, allowed);
    checkKept(now, filesIn(archive()));
  }

 private:
  using Files = std::map<std::string, std::string>;
  static constexpr char CANARY[] = "outside of the mirror\n";

  void add(const std::string& path, const std::string& content) {
    dir_.write("mirror/" + path, content);
    before_[path] = content;
  }

  static Files filesIn(const std::string& directory) {
    Files files;
    std::error_code missing;
    for (auto& entry : std::filesystem::recursive_directory_iterator(directory, missing)) {
      if (entry.is_symlink() || !entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      files[entry.path().lexically_relative(directory)] =
          std::string(std::istreambuf_iterator<char>(file), {});
    }
    return files;
  }

  void checkPublished(const Files& now, const Allowed& allowed) const {
    for (auto& [path, content] : now) {
      if (path.starts_with(Mirror::STAGING)) continue;
      auto old = before_.find(path);
      if (old != before_.end() && old->second == content) continue;
      auto good = allowed.find(path);
      require(good != allowed.end() && good->second.contains(digestOfText(content)),
              "only verified content is published (P3)", path);
    }
  }

  void checkKept(const Files& now, const Files& archived) const {
    for (auto& [path, content] : before_) {
      bool kept = false;
      for (auto& [where, there] : now) kept |= there.starts_with(content);
      for (auto& [where, there] : archived) kept |= there == content;
      require(kept, "nothing is lost (P5)", path);
    }
  }

  TempDir dir_;
  Files before_;
};

}  // namespace pibrain::fuzz
