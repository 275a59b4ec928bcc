#pragma once
// Keys that were made for one spoke alone: ~/.ssh/pi-brain-sync-NAME, and after a rotation
// pi-brain-sync-NAME~2 and so on. No file is ever written over.

#include <string>
#include <vector>

#include "hub/config.h"

namespace pibrain {

// Where the key is that spokes share unless they are given one of their own; "~/…".
constexpr char SHARED_KEY[] = "~/.ssh/pi-brain-sync";

bool isOwnKey(const SpokeConfig& spoke, const std::string& path);

// Those that there are of this spoke.
std::vector<std::string> ownKeys(const SpokeConfig& spoke);

// The first path for one that is free.
std::string nextOwnKey(const SpokeConfig& spoke);

bool usedByOthers(const Config& config, const SpokeConfig& spoke, const std::string& key);

// Both halves.
void removeKey(const std::string& path);

}  // namespace pibrain
