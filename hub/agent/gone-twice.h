#pragma once

#include <vector>

#include "hub/agent/plan.h"

namespace pibrain {

// What is gone by both listings, the second of which was begun after the first ended; `plan` was
// made of the first, and of that the files `fetched` are in the mirror by now. Nothing if the
// spoke's directories did not rest meanwhile. Without what the spoke may have:
// - but skips: a symlink to a directory, say, stands for all that the mirror has beneath its path;
// - or under another name that the mirror has not yet.
std::vector<GoneFile> goneTwice(const Plan& plan, const Tree& mirror, const Paths& kept,
                                const MirrorSummary& known, const Listing& second,
                                const Paths& fetched = {});

}  // namespace pibrain
