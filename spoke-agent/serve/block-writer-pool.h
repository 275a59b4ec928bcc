#pragma once

#include <kj/common.h>
#include <kj/memory.h>
#include <kj/refcount.h>

#include "common/wire/block-stream.h"

namespace pibrain {

// Keeps the writer of the last stream for the next one: it has some megabytes, which are slow to
// allocate each time.
class BlockWriterPool : public kj::Refcounted {
 public:
  kj::Own<BlockWriter> take(int compressionLevel);
  void giveBack(kj::Own<BlockWriter> writer);
  // A writer was not returned.
  void drop() { --live_; }

 private:
  // Each stream takes a few MB and a thread. The hub opens one at a time.
  static constexpr int MAX_STREAMS = 8;

  kj::Own<BlockWriter> idle_;
  int live_ = 0;
};

}  // namespace pibrain
