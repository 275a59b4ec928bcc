#pragma once

#include "common/wire/block-stream.h"

namespace pibrain {

// Produces the events of one Blocks capability.
class EventSource {
 public:
  virtual ~EventSource() noexcept(false) {}

  // Adds the next event or two. Returns false if these were the last.
  virtual bool produce(BlockWriter& writer) = 0;
};

}  // namespace pibrain
