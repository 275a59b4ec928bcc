#pragma once
// Checks before a machine becomes a spoke. All throw Failure.

#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/setup/sync-key.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Checks that the target is a login and the root (empty: none) a path, as in a source.
void requirePlain(const std::string& target, const std::string& root);

// Checks that a spoke can have this name.
void requireName(const std::string& name);

// Checks that install-spoke.sh accepts the addresses.
void requirePatterns(const std::string& from);

// Checks that the patterns are valid. A single one may be empty.
void requireExclusions(const std::vector<std::string>& patterns);

// Checks that the person does not log in with the key for syncing: that login would then start the
// agent and nothing else.
void requireDedicated(const SshTarget& target, const SyncKey& key);

// Checks that no other spoke has the same login and key, since a key has one line, and so one
// directory, on a machine.
void requireOwnKey(const Config& config, const SpokeConfig& spoke);

// Checks that the machine is not a spoke already under another name. Called if the key already has
// a line on the machine, which is fine if the config has lost the spoke. Asks ssh(1) about each
// spoke with the same key.
void requireNoOther(const Config& config, const SpokeConfig& spoke);

}  // namespace pibrain
