#include "common/tree/tree.h"

#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/fs/rooted-dir.h"

namespace pibrain {

namespace {

// Enough for a few hundred files, so that most directories take one call of the hash function.
constexpr size_t HASH_PIECE = 32 * 1024;

void append(std::string& out, uint64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void appendRecord(std::string& out, const Tree::Directory& directory, const Tree::File& file,
                  const DigestOptions& options) {
  out += directory.name(file);
  out += '\0';
  append(out, file.size);
  append(out, uint64_t(options.times.stored(file.mtime)));
  if (!options.modes) return;
  uint16_t mode = mirroredMode(file.mode);
  out.append(reinterpret_cast<const char*>(&mode), sizeof(mode));
}

}  // namespace

uint64_t digestOf(const Tree::Directory& directory, const DigestOptions& options,
                  std::string& piece) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  piece = directory.path;
  piece += '\0';
  for (auto& file : directory.files) {
    appendRecord(piece, directory, file, options);
    if (piece.size() >= HASH_PIECE) {
      XXH3_64bits_update(&state, piece.data(), piece.size());
      piece.clear();
    }
  }
  XXH3_64bits_update(&state, piece.data(), piece.size());
  return XXH3_64bits_digest(&state);
}

std::string Tree::Directory::pathOf(const File& file) const { return joinPath(path, name(file)); }

kj::Maybe<Tree::Found> Tree::find(uint32_t id) const {
  if (id >= files) return nullptr;
  auto after =
      std::upper_bound(directories.begin(), directories.end(), id,
                       [](uint32_t i, auto& directory) { return i < directory.firstFile; });
  auto& directory = *std::prev(after);
  return Found{directory, directory.files[id - directory.firstFile]};
}

kj::Maybe<uint32_t> Tree::idOf(std::string_view path) const {
  auto above = parentOf(path);
  auto directory = std::lower_bound(directories.begin(), directories.end(), above,
                                    [](auto& d, auto wanted) { return d.path < wanted; });
  if (directory == directories.end() || directory->path != above) return nullptr;
  auto name = baseNameOf(path);
  auto& inside = directory->files;
  auto file = std::lower_bound(inside.begin(), inside.end(), name,
                               [&](auto& f, auto wanted) { return directory->name(f) < wanted; });
  if (file == inside.end() || directory->name(*file) != name) return nullptr;
  return directory->firstFile + uint32_t(file - inside.begin());
}

uint64_t digestOf(const Tree::Directory& directory, const DigestOptions& options) {
  std::string piece;
  return digestOf(directory, options, piece);
}

void dropFiles(Tree::Directory& directory, const std::function<bool(const std::string&)>& drop,
               const DigestOptions& options) {
  std::erase_if(directory.files, [&](auto& file) { return drop(directory.pathOf(file)); });
  directory.digest = digestOf(directory, options);
}

uint64_t fingerprintOf(const Tree::Directory& directory, const Tree::File& file,
                       const DigestOptions& options) {
  std::string record;
  appendRecord(record, directory, file, options);
  uint64_t hash = XXH3_64bits(record.data(), record.size());
  return hash == 0 ? 1 : hash;
}

Digest treeDigest(const Tree& tree) {
  std::vector<uint64_t> digests;
  digests.reserve(tree.directories.size());
  for (auto& directory : tree.directories) digests.push_back(directory.digest);
  return treeDigest(std::move(digests));
}

Digest treeDigest(std::vector<uint64_t> digests) {
  std::sort(digests.begin(), digests.end());
  return digestOf(kj::arrayPtr(reinterpret_cast<const kj::byte*>(digests.data()),
                               digests.size() * sizeof(uint64_t)));
}

}  // namespace pibrain
