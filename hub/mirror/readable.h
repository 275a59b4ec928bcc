#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/tree/tree.h"
#include "hub/base/failure.h"
#include "hub/config/config.h"

namespace pibrain {

// Throws Failure if reading the mirror failed. Entries that this process is not allowed to open, or
// that pi-brain cannot have made, cause only warnings; lost+found and entries that have vanished
// cause none. With `unread`, directories that the disk failed to read are added to it instead of
// throwing: their content must stay unchanged.
void requireReadable(const SpokeConfig& spoke, const Tree& mirror,
                     std::vector<std::string>& warnings,
                     std::unordered_set<std::string>* unread = nullptr);

// Returns the failure that something in the mirror cannot be opened or read; nullopt: everything
// can.
std::optional<Failure> unreadableIn(const SpokeConfig& spoke, const Tree& mirror);

}  // namespace pibrain
