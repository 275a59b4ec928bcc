#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "common/tree/tree.h"
#include "hub/config/config.h"

namespace pibrain {

// Throws Failure if reading the mirror failed. What this program may not read of it (lost+found,
// say) or cannot have made is a warning: all else can be synced. `unread`, if given, gets the
// directories of which the disk has something that cannot be read, and then these are no reason to
// throw: what is in them has to stay as it is.
void requireReadable(const SpokeConfig& spoke, const Tree& mirror,
                     std::vector<std::string>& warnings,
                     std::unordered_set<std::string>* unread = nullptr);

}  // namespace pibrain
