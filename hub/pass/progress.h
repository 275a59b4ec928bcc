#pragma once

#include <stdint.h>

#include <atomic>

namespace pibrain {

// The progress of a spoke's sync: the run writes it, a display may read it at any time.
struct Progress {
  enum class Phase { WAITING, CONNECTING, COMPARING, FETCHING, ENDED };

  std::atomic<Phase> phase = Phase::WAITING;
  // For FETCHING. files is 0 until the number is known. Bytes are the estimated content to fetch,
  // before compression; 0: no estimate (rsync).
  std::atomic<uint32_t> files = 0, filesDone = 0;
  std::atomic<uint64_t> bytes = 0, bytesDone = 0;
};

}  // namespace pibrain
