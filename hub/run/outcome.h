#pragma once

#include <kj/function.h>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Does the work for a spoke, and records its start, end and outcome in the report. The only place
// that catches a spoke's failures, so that they do not affect other spokes.
void reportOutcome(const SpokeConfig& spoke, SpokeReport& report, kj::FunctionParam<void()> work);

}  // namespace pibrain
