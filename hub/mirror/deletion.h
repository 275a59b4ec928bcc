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

// P5: why `count` of the mirror's `mirrorFiles` files may not be deleted because they are gone on
// the spoke, which has `spokeFiles`; null if they may. `maxDelete` is what the user allows (0:
// half of a mirror, and always a few).
std::optional<Failure> whyNotDelete(const SpokeConfig& spoke, uint64_t count, uint64_t mirrorFiles,
                                    uint64_t spokeFiles, uint64_t maxDelete);

// Nothing may be deleted, because the spoke could not be read whole: `what` of it could not.
Failure notDeletedUnread(const std::string& what);

// What became of files that were to go.
struct Deletion {
  std::vector<std::string> archived;
  std::map<std::string, std::string> failed;     // why, by path
  std::vector<Mirror::Uncommitted> uncommitted;  // for Mirror::requireOfSingleFiles()
};

// Moves the files to the archive. What is no regular file of its path any more is left alone.
Deletion archiveGone(Mirror& mirror, const std::vector<std::string>& paths);

}  // namespace pibrain
