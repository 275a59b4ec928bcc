#pragma once
// Which spokes a run has something to do for.

#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Whether the spoke has come due since its last good run; also if the store (null: none) does not
// know of one.
bool isDue(const SpokeConfig& spoke, Store* store);

// The report of a spoke that was skipped for that reason.
SpokeReport skipped(const SpokeConfig& spoke, std::string why);

struct Chosen {
  std::vector<const SpokeConfig*> spokes;  // to be synced
  std::vector<SpokeReport> skipped;        // of the others
};
Chosen chooseSpokes(const std::vector<const SpokeConfig*>& spokes);

// Only those that are due; of the others there is nothing to tell.
Chosen chooseDue(const std::vector<const SpokeConfig*>& spokes, Store* store);

}  // namespace pibrain
