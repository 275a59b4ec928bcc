#pragma once

#include <stdint.h>

#include <string_view>

namespace pibrain {

// Returns when the session in a file of this name began, in seconds since the epoch, as pi puts it
// into names (2026-01-31T12-00-00-000Z_…); `otherwise` if the name has no time.
int64_t sessionStart(std::string_view name, int64_t otherwise);

}  // namespace pibrain
