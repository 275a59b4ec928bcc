#pragma once
// Installs the systemd user units that start the runs.

#include <stdint.h>

#include <functional>
#include <optional>
#include <string>

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
void installTimer(const TimerRequest& request, const std::function<void(const std::string&)>& say);
void uninstallTimer(const std::function<void(const std::string&)>& say);

}  // namespace pibrain
