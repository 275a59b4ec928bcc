#pragma once
// Checks each step from the config to the spoke's files.

#include <memory>
#include <string>
#include <vector>

#include "hub/base/passphrase-prompt.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/checklist.h"

namespace pibrain {

// Examines this machine: programs, history, config.
Diagnosis examineHub(const Config& config, const std::vector<const SpokeConfig*>& spokes);

// Opens the history if it exists, and never creates it. Adds the result to the diagnosis of the
// hub.
std::unique_ptr<Store> openHistory(const Config& config, Diagnosis& hub);

// Examines one spoke. Changes nothing on the hub or the spoke, except that a new host key is stored
// as in a run, if StrictHostKeyChecking allows that. `store`: null: never synced. `passphrases`:
// those of this command.
Diagnosis examineSpoke(const Config& config, const SpokeConfig& spoke,
                       std::shared_ptr<Passphrases> passphrases, Store* store);

// Examines all of these, several at a time.
std::vector<Diagnosis> examineSpokes(const Config& config,
                                     const std::vector<const SpokeConfig*>& spokes,
                                     std::shared_ptr<Passphrases> passphrases, Store* store);

}  // namespace pibrain
