#pragma once
// What has to hold before a machine becomes a spoke. All throw Failure.

#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/setup/sync-key.h"
#include "hub/ssh/target.h"

namespace pibrain {

// The target is a login, and the root (empty: none is given) a path, such as a source has them.
void requirePlain(const std::string& target, const std::string& root);

// A spoke can have this name.
void requireName(const std::string& name);

// The addresses are as install-spoke.sh takes them.
void requirePatterns(const std::string& from);

// The patterns are such, or one that is empty.
void requireExclusions(const std::vector<std::string>& patterns);

// A key that is for syncing alone cannot be one that its owner logs in with: that login would start
// the agent from then on, and nothing else.
void requireDedicated(const SshTarget& target, const SyncKey& key);

// One line in authorized_keys, and so one directory, is all that a key can have on a machine.
void requireOwnKey(const Config& config, const SpokeConfig& spoke);

// Of a spoke whose key had a line there before it was a spoke: either the config has lost it, or it
// is one already, by another name of the machine. Asks ssh(1) about each spoke with the same key.
void requireNoOther(const Config& config, const SpokeConfig& spoke);

}  // namespace pibrain
