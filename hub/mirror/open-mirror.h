#pragma once

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// The mirror of a spoke, with its archive, its modes as the config has them, and what is known of
// its filesystem (traitsOf(); `store` null: nothing is remembered). What is archived goes to a run
// that is named by `started`, ns since the epoch. Throws as Mirror's constructor does.
Mirror openMirror(const Config& config, const SpokeConfig& spoke, Store* store,
                  Mirror::Access access, int64_t started);

}  // namespace pibrain
