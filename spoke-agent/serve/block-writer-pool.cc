#include "spoke-agent/serve/block-writer-pool.h"

#include <kj/debug.h>

namespace pibrain {

kj::Own<BlockWriter> BlockWriterPool::take(int compressionLevel) {
  if (live_ == MAX_STREAMS) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many streams at once"));
  }
  ++live_;
  if (idle_.get() == nullptr) return kj::heap<BlockWriter>(compressionLevel);
  idle_->restart(compressionLevel);
  return kj::mv(idle_);
}

void BlockWriterPool::giveBack(kj::Own<BlockWriter> writer) {
  drop();
  idle_ = kj::mv(writer);
}

}  // namespace pibrain
