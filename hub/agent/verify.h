#pragma once

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/verification.h"

namespace pibrain {

// Compares a mirror with its spoke by content: both sides hash their own files, and only hashes
// travel. With `repair`, locks the mirror, archives differing files and fetches them again. `store`
// (null: none) remembers the traits of the mirror's filesystem. Throws Failure or KJ exceptions.
void verifyByAgent(const Config& config, const SpokeConfig& spoke, const VerifyOptions& options,
                   Store* store, Verification& result);

}  // namespace pibrain
