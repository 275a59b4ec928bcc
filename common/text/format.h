#pragma once
// Numbers and times for people.

#include <stdint.h>

#include <string>
#include <string_view>

namespace pibrain {

// "0 B", "38 KB", "1.2 GB": powers of 1024, at most one decimal.
std::string formatBytes(uint64_t bytes);

// "1 file", "2 files", "0 files".
std::string countOf(uint64_t count, std::string_view thing);

// ISO 8601 in UTC, "2026-01-31T12:00:00Z", for ns since the epoch.
std::string formatTime(int64_t nanos);

// "just now", "5m ago", "3h ago", "2d ago"; both in ns since the epoch.
std::string formatAgo(int64_t then, int64_t now);

}  // namespace pibrain
