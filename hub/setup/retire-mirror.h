#pragma once

#include <string>

#include "hub/config/config.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// Moves the whole mirror of a spoke that is being removed to the archive, and removes its
// directory. Returns the name of the run in the archive; empty if the mirror was empty. Throws KJ
// exceptions and Failure; files are then either in the archive or still in the mirror.
std::string retireMirror(const SpokeConfig& spoke, Mirror& locked);

}  // namespace pibrain
