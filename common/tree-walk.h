#pragma once
// A tree's regular files with sizes and times, and the digests by which two trees are compared.
// Hub and agent use the same code: equal digests have to mean equal trees.
//
// The digest of a directory is XXH3 (64 bits) over its path relative to the root, a NUL, and for
// each regular file directly in it, sorted by name as bytes: the name, a NUL, the size and the
// mtime in ns, both as little-endian 64 bits. A directory without regular files has none. The
// digest of a tree is XXH3 (128 bits) over its directories' digests, sorted as numbers, each as
// little-endian 64 bits.

#include <stdint.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "proto/agent.capnp.h"

namespace pibrain {

struct Tree {
  struct Directory {
    uint64_t digest = 0;
    uint32_t path = 0;  // offset in `text`
    uint32_t pathLength = 0;
    uint32_t firstFile = 0;
    uint32_t fileCount = 0;
  };
  struct File {
    uint64_t size;
    int64_t mtime;  // ns since the epoch
    uint32_t name;  // offset in `text`
    uint32_t directory;
    uint16_t nameLength;
  };
  struct Problem {
    std::string path;
    proto::Reason reason;
  };

  // Directories that hold regular files. The files of one directory are adjacent and sorted by
  // name; a file's id is its index.
  std::vector<Directory> directories;
  std::vector<File> files;
  std::vector<Problem> problems;  // what could not be read; nothing if the walk was complete
  uint64_t bytes = 0;
  uint32_t symlinksSkipped = 0;
  uint32_t specialsSkipped = 0;
  std::string text;

  std::string_view path(const Directory& directory) const {
    return std::string_view(text).substr(directory.path, directory.pathLength);
  }
  std::string_view name(const File& file) const {
    return std::string_view(text).substr(file.name, file.nameLength);
  }
  std::string pathOf(const File& file) const;
};

struct WalkOptions {
  // A name directly beneath the root that is passed over, if not empty.
  std::string_view skip;
};

// Walks the tree beneath the directory `root`; symlinks are not followed. What cannot be read is
// a problem of the result; the walk goes on. Computes the directories' digests.
Tree walkTree(int root, const WalkOptions& options = {});

// Drops the files for which `drop(path)` is true and computes the digests anew.
void dropFiles(Tree& tree, const std::function<bool(const std::string& path)>& drop);

Digest treeDigest(const Tree& tree);

}  // namespace pibrain
