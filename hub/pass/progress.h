#pragma once

#include <stdint.h>

#include <atomic>

namespace pibrain {

// How far a spoke's sync is: written by its run, read at any time by whoever shows it.
struct Progress {
  enum class Phase { WAITING, CONNECTING, COMPARING, FETCHING, ENDED };

  std::atomic<Phase> phase = Phase::WAITING;
  // Of FETCHING; 0 files while their number is not known. Bytes are those of content that has to
  // come, before compression, as far as that can be foreseen; 0: it cannot (rsync).
  std::atomic<uint32_t> files = 0, filesDone = 0;
  std::atomic<uint64_t> bytes = 0, bytesDone = 0;
};

}  // namespace pibrain
