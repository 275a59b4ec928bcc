#pragma once
// A tree's regular files with sizes and times, and the digests by which two trees are compared.
// Hub and agent use the same code: equal digests must mean equal trees.
//
// The digest of a directory is XXH3 (64 bits) over its path relative to the root, a NUL, and for
// each regular file directly in it, sorted by name as bytes: the name, a NUL, the size and the
// mtime in ns, both as little-endian 64 bits. A directory without regular files has none. The
// digest of a tree is XXH3 (128 bits) over its directories' digests, sorted as numbers, each as
// little-endian 64 bits. The fingerprint of a file is XXH3 (64 bits) over its part of the
// directory's digest. A hash of 0 is stored as 1, because 0 means "no fingerprint".
//
// Two sides may agree on other digests (DigestOptions): over the times as the mirror's filesystem
// stores them, and with the permission bits, (mode & 0777) | 0600, as little-endian 16 bits after
// each mtime.

#include <stdint.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/tree/stored-times.h"
#include "common/wire/digest.h"
#include "proto/agent.capnp.h"

namespace pibrain {

struct Tree {
  struct File {
    uint64_t size;
    int64_t mtime;  // ns since the epoch
    uint32_t name;  // offset in the directory's `names`
    uint16_t nameLength;
    uint16_t mode = 0;  // permission bits
  };
  struct Directory {
    std::string path;
    uint64_t digest = 0;
    uint32_t firstFile = 0;   // the id of files[0]; the others count up from it
    std::vector<File> files;  // sorted by name
    std::string names;

    std::string_view name(const File& file) const {
      return std::string_view(names).substr(file.name, file.nameLength);
    }
    std::string pathOf(const File& file) const;
  };
  struct Found {
    const Directory& directory;
    const File& file;
  };
  struct Problem {
    std::string path;
    proto::Reason reason;
  };
  // A hash over all directories' inodes and times, taken before each was read.
  struct Stamps {
    uint64_t sum = 0;
    // A directory changed while it was read or just before, so a later change might leave the same
    // times.
    bool unsettled = false;
  };

  std::vector<Directory> directories;  // those that hold regular files, sorted by path
  std::vector<Problem> problems;       // what could not be read; empty if the walk was complete
  uint32_t files = 0;
  uint64_t bytes = 0;
  uint32_t symlinksSkipped = 0;
  uint32_t specialsSkipped = 0;
  std::vector<std::string> skipped;  // the paths of at most MAX_SKIPPED of these
  Stamps stamps;

  // Returns the file with this id; null if there is none.
  kj::Maybe<Found> find(uint32_t id) const;
  // Returns the id of the file at this path; nullopt if there is none.
  kj::Maybe<uint32_t> idOf(std::string_view path) const;
};

struct DigestOptions {
  StoredTimes times;
  bool modes = false;

  auto operator<=>(const DigestOptions&) const = default;
};

// Returns the permission bits that a mirror gives a file of this mode, if it keeps modes.
inline uint16_t mirroredMode(uint32_t mode) { return uint16_t((mode & 0777) | 0600); }

// Drops the files for which `drop(path)` is true, and computes the digest again.
void dropFiles(Tree::Directory& directory, const std::function<bool(const std::string& path)>& drop,
               const DigestOptions& options = {});

uint64_t digestOf(const Tree::Directory& directory, const DigestOptions& options);
// The same, with scratch memory that a walk allocates once.
uint64_t digestOf(const Tree::Directory& directory, const DigestOptions& options,
                  std::string& piece);
uint64_t fingerprintOf(const Tree::Directory& directory, const Tree::File& file,
                       const DigestOptions& options = {});

Digest treeDigest(const Tree& tree);
Digest treeDigest(std::vector<uint64_t> directoryDigests);

}  // namespace pibrain
