#pragma once
// Failures as absl::Status, for functions that return a value or the reason why they have none.

#include <absl/status/status.h>

#include "hub/base/failure.h"

namespace pibrain {

// Returns a status that carries the failure.
absl::Status toStatus(const Failure& failure);

// Returns the failure that a status carries, or else one with this id and the status' message,
// whose first sentence is what failed, and the others the cause.
Failure failureOf(const absl::Status& status, FailureId otherwise);

}  // namespace pibrain
