#pragma once
// Checks each step from the config to the spoke's files.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hub/base/passphrase-prompt.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/checklist.h"

namespace pibrain {

// Examines this machine: the config, and the programs that these spokes need.
void examineHub(const Config& config, const std::vector<const SpokeConfig*>& spokes,
                Checklist& checks);

// Opens the history if it exists, and never creates it. Adds the result to the checks, and what any
// thread that uses the history reports later; so the checks must outlive it.
std::unique_ptr<Store> openHistory(const Config& config, Checklist& checks);

// Called as the examination of the spokes goes on, in the thread of each spoke, which is told by
// its index.
struct DoctorEvents {
  std::function<void(size_t spoke, const Check& check)> checked;
  std::function<void(size_t spoke)> ended;
};

// Examines all of these, several at a time. Changes nothing on the hub or a spoke, except that a
// new host key is stored as in a run, if StrictHostKeyChecking allows that. `store`: null: never
// synced. `passphrases`: those of this command.
std::vector<Diagnosis> examineSpokes(const Config& config,
                                     const std::vector<const SpokeConfig*>& spokes,
                                     std::shared_ptr<Passphrases> passphrases, Store* store,
                                     const DoctorEvents& events);

}  // namespace pibrain
