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

Failure failureOf(const absl::Status& status, FailureId otherwise) {
  if (auto payload = status.GetPayload(PAYLOAD)) {
    if (auto failure = unpacked(std::string(*payload))) return *failure;
  }
  // Its first sentence says what failed.
  std::string message(status.message());
  auto end = message.find(". ");
  if (end == message.npos) return Failure(otherwise, withoutFullStop(message));
  auto cause = message.substr(end + 2);
  if (!cause.ends_with('.')) cause += '.';
  return Failure(otherwise, message.substr(0, end), cause);
}

}  // namespace pibrain
