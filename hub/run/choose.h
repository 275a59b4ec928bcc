#pragma once
// Chooses the spokes of a run.

#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Returns whether the spoke has come due since its last good run, or has none in the store (null:
// no store).
bool isDue(const SpokeConfig& spoke, Store* store);

// Returns the report of a spoke that was skipped for this reason.
SpokeReport skipped(const SpokeConfig& spoke, std::string why);

struct Chosen {
  std::vector<const SpokeConfig*> spokes;  // to sync
  std::vector<SpokeReport> skipped;        // of the others
};
Chosen chooseSpokes(const std::vector<const SpokeConfig*>& spokes);

// Chooses only spokes that are due; the others get no report.
Chosen chooseDue(const std::vector<const SpokeConfig*>& spokes, Store* store);

}  // namespace pibrain
