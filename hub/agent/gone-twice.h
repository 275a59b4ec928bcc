#pragma once

#include <vector>

#include "hub/agent/plan.h"

namespace pibrain {

// Returns the files that are gone in two listings, the second of which began after the first ended.
// `plan` was made from the first; `fetched` are its files that are in the mirror now. Empty if the
// spoke's directories changed meanwhile. Leaves out files that the spoke may still have:
// - because it skips them: a symlink to a directory may stand for all that the mirror has beneath
//   its path;
// - or under a name that the mirror does not have yet.
std::vector<GoneFile> goneTwice(const Plan& plan, const Tree& mirror, const Paths& kept,
                                const MirrorSummary& known, const Listing& second,
                                const Paths& fetched = {});

}  // namespace pibrain
