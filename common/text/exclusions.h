#pragma once
// Which files of a tree are left out, by patterns similar to those of gitignore(5):
//
// - A pattern without a '/', except at its end, matches names in every directory: "*.tmp". One
//   with a '/' matches paths from the root: "work/old", "/core".
// - '*' stands for any characters but '/', '?' for one, "[a-c]" for one of these, "[!a-c]" for one
//   of the others. "**" in place of a name stands for any number of directories: "**/cache/*.db".
//   '\' takes the special meaning from the next character.
// - A pattern that ends with '/' matches only directories: "node_modules/".
// - If a directory is left out, so is everything in it. '!' cannot re-include anything.
//
// Names are bytes, compared as they are.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pibrain {

class Exclusions {
 public:
  // The most patterns, and the most bytes in each, so that matching stays fast.
  static constexpr size_t MAX_PATTERNS = 100, MAX_LENGTH = 1000;

  // Returns why this is not a valid pattern, as the end of a sentence; nullopt: it is valid.
  static std::optional<std::string> whyNot(std::string_view pattern);

  Exclusions() = default;
  // A pattern that is not valid matches nothing.
  explicit Exclusions(const std::vector<std::string>& patterns);

  bool empty() const { return patterns_.empty(); }

  // Returns whether a pattern matches this path itself. The path is relative to the root, and not
  // empty.
  bool match(std::string_view path, bool isDirectory) const;
  // Returns whether what has this path is left out, by its own path or that of a directory above
  // it.
  bool cover(std::string_view path, bool isDirectory) const;
  bool coverFile(std::string_view path) const { return cover(path, false); }

 private:
  struct Pattern {
    std::vector<std::string> parts;  // what is between the '/'
    bool anywhere = false;           // for a name in any directory
    bool onlyDirectories = false;
  };
  std::vector<Pattern> patterns_;
};

}  // namespace pibrain
