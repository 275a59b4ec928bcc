#pragma once

#include <stdint.h>

#include <string>

#include "hub/config.h"

namespace pibrain {

// P5: why `count` of the mirror's `mirrorFiles` files may not be deleted because they are gone on
// the spoke, which has `spokeFiles`; empty if they may. `maxDelete` is what the user allows (0:
// half of a mirror, and always a few).
std::string whyNotDelete(const SpokeConfig& spoke, uint64_t count, uint64_t mirrorFiles,
                         uint64_t spokeFiles, uint64_t maxDelete);

}  // namespace pibrain
