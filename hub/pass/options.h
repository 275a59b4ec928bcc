#pragma once

#include <stdint.h>

#include <chrono>
#include <memory>

#include "hub/base/passphrase-prompt.h"
#include "hub/base/rate-limiter.h"

namespace pibrain {

// Spokes at a time, unless a person says otherwise.
inline constexpr uint32_t USUAL_JOBS = 8;

// What a run was told on the command line.
struct RunOptions {
  bool dryRun = false;
  bool deleteGone = false;               // for all spokes, whatever their config says
  uint64_t maxDelete = 0;                // 0: half of the mirror
  std::shared_ptr<RateLimiter> limiter;  // shared by all spokes; null: each spoke's own bw_limit
  uint32_t rsyncBwLimit = 0;             // KiB/s, for each rsync; 0: each spoke's own bw_limit
  // As they are typed, shared by all spokes.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
  uint32_t jobs = USUAL_JOBS;  // spokes at a time
  // For how long a spoke that another run has is waited for; 0: not at all.
  std::chrono::seconds wait{0};
};

struct VerifyOptions {
  bool repair = false;  // what differs is fetched
  // As in a run.
  std::shared_ptr<Passphrases> passphrases = std::make_shared<Passphrases>();
};

}  // namespace pibrain
