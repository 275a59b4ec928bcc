#pragma once

#include <stdint.h>

#include <algorithm>

namespace pibrain {

// The times that a filesystem can store. Many are coarser than nanoseconds (FAT: two seconds, NTFS:
// 100 ns, ext4 with small inodes: a second), and some lack some years.
struct StoredTimes {
  int64_t grain = 1;           // ns
  int64_t oldest = INT64_MIN;  // ns since the epoch, as `newest`
  int64_t newest = INT64_MAX;

  auto operator<=>(const StoredTimes&) const = default;

  // Returns what the filesystem stores for this time.
  int64_t stored(int64_t time) const {
    if (oldest <= newest) time = std::clamp(time, oldest, newest);
    if (grain <= 1) return time;
    int64_t over = time % grain;
    if (over < 0) over += grain;
    return time >= INT64_MIN + over ? time - over : time;
  }
};

}  // namespace pibrain
