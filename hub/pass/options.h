#pragma once

#include <stdint.h>

#include <chrono>
#include <memory>

#include "hub/base/passphrase-prompt.h"
#include "hub/base/rate-limiter.h"

namespace pibrain {

// How many spokes are worked on at a time by default.
inline constexpr uint32_t USUAL_JOBS = 8;

// A run's options from the command line.
struct RunOptions {
  bool dryRun = false;
  bool deleteGone = false;               // for all spokes, even with 'delete: false'
  uint64_t maxDelete = 0;                // 0: half of the mirror
  std::shared_ptr<RateLimiter> limiter;  // shared by all spokes; null: each has its own bw_limit
  uint32_t rsyncBwLimit = 0;             // KiB/s for each rsync; 0: each spoke's bw_limit
  // Passphrases typed in this run, shared by all spokes.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
  uint32_t jobs = USUAL_JOBS;  // spokes at a time
  // How long to wait for another run that is syncing a spoke; 0: do not wait.
  std::chrono::seconds wait{0};
  // Repeat the sync of a spoke, for some seconds, while one of its files is still being written.
  bool untilWhole = false;
};

struct VerifyOptions {
  bool repair = false;  // fetch what differs
  // As in RunOptions.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
};

}  // namespace pibrain
