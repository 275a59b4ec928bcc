#pragma once
// The parts of a spoke's examination. They add results to the checklist; those marked "Throws" also
// throw Failure or KJ exceptions, for Checklist::attempt().

#include <stdint.h>

#include <memory>
#include <string>

#include "hub/base/passphrase-prompt.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/checklist.h"

namespace pibrain {

// Checks the connection, the agent, its files, and what the key can do. Throws.
void examineAgent(const Config& config, const SpokeConfig& spoke,
                  const std::shared_ptr<Passphrases>& passphrases, Store* store, Checklist& checks);

// Checks a spoke that rsync syncs. Throws.
void examineByRsync(const Config& config, const SpokeConfig& spoke,
                    const std::shared_ptr<Passphrases>& passphrases, Store* store,
                    Checklist& checks);

// Checks whether the mirror is writable and has room.
void examineMirror(const SpokeConfig& spoke, Checklist& checks);
void examineRoom(const Config& config, const SpokeConfig& spoke, Checklist& checks);

void examineLastRun(const SpokeConfig& spoke, Store* store, Checklist& checks);

}  // namespace pibrain
