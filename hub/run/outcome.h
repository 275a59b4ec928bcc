#pragma once

#include <kj/function.h>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Another run has the mirror.
Failure mirrorInUse();

// Does the work for a spoke, and notes in the report when it began and ended, and how: the one
// place that catches what goes wrong with a spoke, so that it leaves the others alone.
void reportOutcome(const SpokeConfig& spoke, SpokeReport& report, kj::FunctionParam<void()> work);

}  // namespace pibrain
