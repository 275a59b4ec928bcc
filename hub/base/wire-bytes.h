#pragma once

#include <stdint.h>

namespace pibrain {

struct WireBytes {
  uint64_t up = 0;    // from the hub to the spoke
  uint64_t down = 0;  // from the spoke to the hub
};

}  // namespace pibrain
