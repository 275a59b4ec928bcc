#pragma once

#include <memory>

#include "hub/config/config.h"
#include "hub/connect/connector.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Syncs one spoke. Never throws: failures are in the report. `connector`: null: a new one.
SpokeReport syncSpoke(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                      Store* store, std::unique_ptr<Connector> connector, Progress& progress);

}  // namespace pibrain
