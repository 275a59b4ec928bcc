#pragma once

#include <stdint.h>

#include <chrono>

#include "hub/base/failure-kinds.h"

namespace pibrain {

// How long to wait before the next attempt to reach a spoke: a random part of a span that doubles
// with each failure, so that many spokes do not come back at the same instant ("full jitter",
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
class RetryPause {
 public:
  // Called when a connection ended; `lived`: for how long it had worked.
  std::chrono::milliseconds after(FailureId failure, std::chrono::seconds lived);

 private:
  uint32_t failures_ = 0;  // in a row
};

}  // namespace pibrain
