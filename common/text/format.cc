#include "common/text/format.h"

#include <stdio.h>
#include <time.h>

namespace pibrain {

std::string formatBytes(uint64_t bytes) {
  const char* units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
  double value = double(bytes);
  size_t unit = 0;
  while (value >= 1023.5 && unit < 6) {
    value /= 1024;
    ++unit;
  }
  char out[32];
  snprintf(out, sizeof(out), unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return out;
}

std::string countOf(uint64_t count, std::string_view thing) {
  return std::to_string(count) + " " + std::string(thing) + (count == 1 ? "" : "s");
}

std::string formatTime(int64_t nanos) {
  time_t seconds = nanos / 1'000'000'000;
  struct tm parts;
  gmtime_r(&seconds, &parts);
  char out[40];
  strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return out;
}

std::string formatAgo(int64_t then, int64_t now) {
  int64_t minutes = (now - then) / 60'000'000'000;
  if (minutes < 1) return "just now";
  if (minutes < 60) return std::to_string(minutes) + "m ago";
  if (minutes < 24 * 60) return std::to_string(minutes / 60) + "h ago";
  return std::to_string(minutes / (24 * 60)) + "d ago";
}

}  // namespace pibrain
