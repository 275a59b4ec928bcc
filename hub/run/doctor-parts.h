#pragma once
// The parts of a spoke's examination. What is wrong is in the checklist; those that say so throw
// Failure or KJ exceptions as well, for Checklist::attempt().

#include <memory>

#include "hub/base/passphrase-prompt.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/checklist.h"

namespace pibrain {

// The way to the agent, what it says of itself and of its files, and what the key lets in. Throws.
void examineAgent(const Config& config, const SpokeConfig& spoke,
                  const std::shared_ptr<Passphrases>& passphrases, Store* store, Checklist& checks);

// The same of a spoke that the rsync program syncs. Throws.
void examineByRsync(const Config& config, const SpokeConfig& spoke,
                    const std::shared_ptr<Passphrases>& passphrases, Store* store,
                    Checklist& checks);

// Whether the mirror can be kept, and has room.
void examineMirror(const SpokeConfig& spoke, Checklist& checks);
void examineRoom(const Config& config, const SpokeConfig& spoke, Checklist& checks);

void examineLastRun(const SpokeConfig& spoke, Store* store, Checklist& checks);

}  // namespace pibrain
