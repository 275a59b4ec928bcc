#pragma once
// Failures as absl::Status, for functions that return a value or why there is none.

#include <absl/status/status.h>

#include "hub/base/failure.h"

namespace pibrain {

// A status that carries the failure.
absl::Status toStatus(const Failure& failure);

// The failure that a status carries; one with this id and the status' message if it carries none.
Failure failureOf(const absl::Status& status, FailureId otherwise);

}  // namespace pibrain
