#pragma once

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// Opens the mirror of a spoke with its archive, the config's 'keep_modes', and the traits of its
// filesystem (traitsOf(); `store` null: nothing is remembered). Archived files go to a run named by
// `started`, ns since the epoch. Throws like Mirror's constructor.
Mirror openMirror(const Config& config, const SpokeConfig& spoke, Store* store,
                  Mirror::Access access, int64_t started);

}  // namespace pibrain
