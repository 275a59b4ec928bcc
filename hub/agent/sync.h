#pragma once

#include <memory>

#include "hub/config/config.h"
#include "hub/connect/connector.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Brings the mirror of a spoke with an agent up to date and fills in the report. `connector`: null:
// a new one. Throws Failure, KJ exceptions.
void syncByAgent(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 Store* store, std::unique_ptr<Connector> connector, SpokeReport& report,
                 Progress& progress);

}  // namespace pibrain
