#pragma once
// Walks the chain from the config to the spoke's files and says which links hold.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hub/base/passphrase-prompt.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/run/checklist.h"

namespace pibrain {

// This machine: the config, and the programs that these spokes need.
void examineHub(const Config& config, const std::vector<const SpokeConfig*>& spokes,
                Checklist& checks);

// The history, if there is one: looking makes none. What is told of it later, by whatever thread
// uses it, is among the checks too, which therefore have to outlive it.
std::unique_ptr<Store> openHistory(const Config& config, Checklist& checks);

// Who is told how the spokes' examination goes on, in the thread of each. A spoke is told by its
// index.
struct DoctorEvents {
  std::function<void(size_t spoke, const Check& check)> checked;
  std::function<void(size_t spoke)> ended;
};

// All of these, several at a time. Changes nothing, on the hub or a spoke, except that a new host
// key is remembered as in a run, if StrictHostKeyChecking says so. Without a store there was no run
// yet. `passphrases`: of this run.
std::vector<Diagnosis> examineSpokes(const Config& config,
                                     const std::vector<const SpokeConfig*>& spokes,
                                     std::shared_ptr<Passphrases> passphrases, Store* store,
                                     const DoctorEvents& events);

}  // namespace pibrain
