#pragma once

#include <stdint.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// P5: returns why `count` of the mirror's `mirrorFiles` files, which are gone on the spoke, must
// not be deleted; nullopt: they may be. The spoke has `spokeFiles`. `maxDelete`: the user's limit;
// 0: half of the mirror's files, but at least a few.
std::optional<Failure> whyNotDelete(const SpokeConfig& spoke, uint64_t count, uint64_t mirrorFiles,
                                    uint64_t spokeFiles, uint64_t maxDelete);

// Returns the failure that nothing was deleted because `what` of the spoke could not be read.
Failure notDeletedUnread(const std::string& what);

// Returns the warning that the spoke has no files in `root` although its mirror has some.
Failure rootEmpty(const std::string& root, uint64_t mirrorFiles);

// The result of archiveGone().
struct Deletion {
  std::vector<std::string> archived;
  std::map<std::string, std::string> failed;     // reasons, by path
  std::vector<Mirror::Uncommitted> uncommitted;  // for Mirror::requireOfSingleFiles()
};

// Moves the files to the archive. A path that is no longer a regular file is left alone.
Deletion archiveGone(Mirror& mirror, const std::vector<std::string>& paths);

}  // namespace pibrain
