#pragma once
// Restores files of the archive.

#include <string>

#include "hub/config/config.h"
#include "hub/mirror/archive-catalog.h"

namespace pibrain {

// Restores the file to its place in the mirror of its spoke, or to the file or directory `to`,
// unless that is empty. Never replaces anything. Returns the path of the restored file. Throws
// Failure, Mirror::Locked or KJ exceptions.
std::string restoreArchived(const Config& config, const ArchivedFile& file, const std::string& to);

// Returns the file whose id begins with `id`, in the archive of any spoke. Throws Failure if there
// is none, or more than one.
ArchivedFile requireArchived(const Config& config, const std::string& id);

}  // namespace pibrain
