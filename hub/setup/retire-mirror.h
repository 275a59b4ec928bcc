#pragma once

#include <string>

#include "hub/config/config.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// Moves all that is in the mirror of a spoke that is going to its archive, and removes its
// directory. Returns the name of the run in the archive; empty if there was nothing in the mirror.
// Throws KJ exceptions and Failure; what was moved by then is in the archive, and what was not is
// in the mirror.
std::string retireMirror(const SpokeConfig& spoke, Mirror& locked);

}  // namespace pibrain
