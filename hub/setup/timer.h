#pragma once
// The systemd user units that start the runs.

#include <stdint.h>

#include <functional>
#include <optional>
#include <string>

namespace pibrain {

// "15min", "90s", "2h", "1d": seconds; nullopt if it is no such span.
std::optional<int64_t> parseSpan(const std::string& text);

struct TimerRequest {
  std::string config;   // an absolute path; empty: the default
  std::string every;    // a span
  int64_t seconds = 0;  // the same
  bool due = false;     // only the spokes that have come due
};

// Both tell `say` what they did, line by line, and throw Failure.
void installTimer(const TimerRequest& request, const std::function<void(const std::string&)>& say);
void uninstallTimer(const std::function<void(const std::string&)>& say);

}  // namespace pibrain
