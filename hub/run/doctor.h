#pragma once
// Walks the chain from the config to the spoke's files and says which links hold.

#include <memory>
#include <string>
#include <vector>

#include "hub/base/passphrase-prompt.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/checklist.h"

namespace pibrain {

// This machine: the programs, the history, `configFile`.
Diagnosis examineHub(const Config& config, const std::vector<const SpokeConfig*>& spokes);

// The history, if there is one: looking makes none. What was found is added to the diagnosis of
// the hub.
std::unique_ptr<Store> openHistory(const Config& config, Diagnosis& hub);

// One spoke. Changes nothing, here or there, except that a new host key is remembered as in a run,
// if StrictHostKeyChecking says so. Without a store there was no run yet. `passphrases`: of this
// run.
Diagnosis examineSpoke(const Config& config, const SpokeConfig& spoke,
                       std::shared_ptr<Passphrases> passphrases, Store* store);

// All of these, several at a time.
std::vector<Diagnosis> examineSpokes(const Config& config,
                                     const std::vector<const SpokeConfig*>& spokes,
                                     std::shared_ptr<Passphrases> passphrases, Store* store);

}  // namespace pibrain
