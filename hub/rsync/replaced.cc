#include "hub/rsync/replaced.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs/file-io.h"
#include "common/fs/rooted-dir.h"
#include "common/tree/tree-walk.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

// Returns whether the file `path` beneath `whole` begins with the `size` bytes of `part`.
bool extends(int part, uint64_t size, const RootedDir& whole, const std::string& path) {
  auto opened = whole.open(path, O_RDONLY);
  struct stat st;
  bool possible = opened.error == 0 && fstat(opened.fd, &st) == 0 && S_ISREG(st.st_mode) &&
                  uint64_t(st.st_size) >= size;
  if (!possible) return false;
  FileHasher old, now;
  return hashPrefix(part, size, old) == size && hashPrefix(opened.fd, size, now) == size &&
         old.digest() == now.digest();
}

// Removes the empty directories in the directory.
void removeEmptyDirectories(const std::string& path) {
  std::error_code ignored;
  for (auto& name : listDirectory(path, ignored)) {
    auto entry = joinPath(path, name);
    struct stat st;
    if (lstat(entry.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) continue;
    removeEmptyDirectories(entry);
    rmdir(entry.c_str());
  }
}

}  // namespace

std::unordered_set<std::string> dropGrown(const std::string& replaced, const std::string& mirror) {
  std::unordered_set<std::string> others;
  kj::AutoCloseFd old(open(replaced.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  kj::AutoCloseFd whole(open(mirror.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (old.get() < 0 || whole.get() < 0) return others;
  RootedDir kept(kj::mv(old)), now(kj::mv(whole));
  for (auto& directory : walkTree(kept.fd()).directories) {
    for (auto& file : directory.files) {
      auto path = directory.pathOf(file);
      bool grew = false;
      kj::runCatchingExceptions([&]() {
        auto opened = kept.open(path, O_RDONLY);
        grew = opened.error == 0 && extends(opened.fd, file.size, now, path);
      });
      if (!grew) {
        others.insert(path);
        continue;
      }
      auto above = kept.open(parentOf(path), O_RDONLY | O_DIRECTORY);
      if (above.error == 0) unlinkat(above.fd, std::string(baseNameOf(path)).c_str(), 0);
    }
  }
  removeEmptyDirectories(replaced);
  return others;
}

}  // namespace pibrain
