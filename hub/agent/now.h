#pragma once

#include <kj/time.h>

namespace pibrain {

// Returns the time of the monotonic clock, a tick too early at most.
inline kj::TimePoint now() { return kj::systemCoarseMonotonicClock().now(); }

}  // namespace pibrain
