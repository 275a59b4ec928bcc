#pragma once

#include <stdint.h>

#include "hub/config.h"
#include "hub/sync/archive.h"
#include "hub/sync/mirror.h"

namespace pibrain {

// Moves all that is in the mirror of a spoke that is going to the archive, and removes its
// directory. False if there was nothing in it. Throws KJ exceptions and Failure; what was moved by
// then is in the archive, and what was not is in the mirror.
bool archiveMirror(const SpokeConfig& spoke, Mirror& locked, Archive archive);

}  // namespace pibrain
