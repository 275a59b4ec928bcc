#pragma once
// Installs the systemd user units that start the runs.

#include <stdint.h>

#include <optional>
#include <string>

#include "hub/setup/systemd.h"

namespace pibrain {

// Parses "15min", "90s", "2h" or "1d" to seconds; nullopt: not a span.
std::optional<int64_t> parseSpan(const std::string& text);

struct TimerRequest {
  std::string config;   // an absolute path; empty: the default
  std::string every;    // a span
  int64_t seconds = 0;  // the same in seconds
  bool due = false;     // run only the spokes that are due
};

// Both report to `say` what they did, one line each, and throw Failure.
void installTimer(const TimerRequest& request, const Say& say);
void uninstallTimer(const Say& say);

// Returns whether the timer is installed.
bool timerIsInstalled();

}  // namespace pibrain
