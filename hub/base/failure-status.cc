#include "hub/base/failure-status.h"

#include <absl/strings/cord.h>

#include <string>

#include "common/text/escape.h"

namespace pibrain {

namespace {

constexpr char PAYLOAD[] = "pi-brain/failure";

}  // namespace

absl::Status toStatus(const Failure& failure) {
  absl::Status status(absl::StatusCode::kFailedPrecondition, failure.what());
  status.SetPayload(PAYLOAD, absl::Cord(packed(failure)));
  return status;
}

bool carriesFailure(const absl::Status& status) { return status.GetPayload(PAYLOAD).has_value(); }

Failure failureOf(const absl::Status& status, FailureId otherwise) {
  if (auto payload = status.GetPayload(PAYLOAD)) {
    if (auto failure = unpacked(std::string(*payload))) return *failure;
  }
  return Failure(otherwise, withoutFullStop(std::string(status.message())));
}

}  // namespace pibrain
