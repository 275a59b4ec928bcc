#pragma once

#include <vector>

#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/report/documents.h"

namespace pibrain {

// Returns a row for each spoke of the config. `store`: null: no history.
std::vector<SpokeRow> spokeRows(const Config& config, Store* store);

}  // namespace pibrain
