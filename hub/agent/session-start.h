#pragma once

#include <stdint.h>

#include <string_view>

namespace pibrain {

// When the session in a file of this name began, in seconds since the epoch, as pi writes it into
// names (2026-01-31T12-00-00-000Z_…); `otherwise` if the name does not say.
int64_t sessionStart(std::string_view name, int64_t otherwise);

}  // namespace pibrain
