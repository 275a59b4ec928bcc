#pragma once
// Which files of a tree are left out, by patterns such as gitignore(5) has:
//
// - A pattern without a '/' (but for one at its end) is for names, in every directory: "*.tmp".
//   One with a '/' is for paths from the root: "work/old", "/core".
// - '*' stands for any characters but '/', '?' for one, "[a-c]" or "[!a-c]" for one of these or
//   another. "**" in place of a name stands for any number of directories: "**/cache/*.db". '\'
//   takes the meaning from what follows.
// - With a '/' at its end it is for directories alone: "node_modules/".
// - Of a directory that is left out, all is. There is no '!' that would take something in again.
//
// Names are bytes, compared as they are.

#include <string>
#include <string_view>
#include <vector>

namespace pibrain {

class Exclusions {
 public:
  // As many patterns, and bytes in each, as are taken: matching stays fast.
  static constexpr size_t MAX_PATTERNS = 100, MAX_LENGTH = 1000;

  // Why this cannot be a pattern, for the end of a sentence; empty: it can.
  static std::string whyNot(std::string_view pattern);

  Exclusions() = default;
  // What whyNot() names matches nothing.
  explicit Exclusions(const std::vector<std::string>& patterns);

  bool empty() const { return patterns_.empty(); }

  // Whether a file, or a directory, at this path is left out by a pattern of its own. The path is
  // relative to the root, and not empty.
  bool match(std::string_view path, bool isDirectory) const;
  // Whether a file at this path is left out, by its own path or that of a directory above it.
  bool coverFile(std::string_view path) const;

 private:
  struct Pattern {
    std::vector<std::string> parts;  // between the '/'
    bool anywhere = false;           // for a name in any directory
    bool onlyDirectories = false;
  };
  std::vector<Pattern> patterns_;
};

}  // namespace pibrain
