#include "hub/agent/mirror-summary.h"

#include <algorithm>

#include "common/fs/file-times.h"

namespace pibrain {

MirrorSummary summarizeMirror(const Tree& mirror, const Paths& kept, const DigestOptions& options) {
  auto keptIn = parentsOf(kept);
  MirrorSummary known;
  known.options = options;
  for (auto& directory : mirror.directories) {
    uint64_t digest = directory.digest;
    if (keptIn.contains(directory.path)) {
      auto rest = directory;
      dropFiles(
          rest, [&](const std::string& path) { return kept.contains(path); }, options);
      if (rest.files.empty()) continue;
      digest = rest.digest;
    }
    known.digests.push_back(digest);
    known.directories.push_back(&directory);
    for (auto& file : directory.files) known.newest = std::max(known.newest, file.mtime);
  }
  // A file with a time in the future would hide changes until then.
  known.newest = std::min(known.newest, wallClockNanos());
  known.tree = treeDigest(known.digests);
  return known;
}

}  // namespace pibrain
