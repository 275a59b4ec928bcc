#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include <string>

namespace pibrain {

// Returns the modification time in nanoseconds since the epoch. A time that these cannot express
// (before 1677, after 2262) is INT64_MIN or INT64_MAX.
int64_t mtimeOf(const struct stat& st);
// The same of the time when the inode was changed: that of this machine's clock, which nothing
// sets.
int64_t ctimeOf(const struct stat& st);

// Sets the modification and access times. Throws if that fails.
void setMtime(int fd, int64_t nanos);
// The same for an entry of a directory; for a symlink, the link's own times.
void setMtimeOf(int dir, const std::string& name, int64_t nanos);

// Returns the wall clock's time, in ns since the epoch.
int64_t wallClockNanos();

}  // namespace pibrain
