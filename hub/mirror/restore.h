#pragma once
// Brings a file of the archive back.

#include <string>

#include "hub/config/config.h"
#include "hub/mirror/archive-catalog.h"

namespace pibrain {

// To its place in the mirror of its spoke, or, if `to` is not empty, to that file or directory.
// Both replace nothing. Returns where it is. Throws Failure, Mirror::Locked or KJ exceptions.
std::string restoreArchived(const Config& config, const ArchivedFile& file, const std::string& to);

// The file whose id begins so, in the archive of any spoke. Throws Failure if there is none, or
// more than one.
ArchivedFile requireArchived(const Config& config, const std::string& id);

}  // namespace pibrain
