#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include <string>

namespace pibrain {

// Modification time in nanoseconds since the epoch. What these cannot say (before 1677, after 2262)
// is INT64_MIN or INT64_MAX.
int64_t mtimeOf(const struct stat& st);
// The same of the time when the inode was changed: that of this machine's clock, which nothing
// sets.
int64_t ctimeOf(const struct stat& st);

// Sets the modification and access times. Throws.
void setMtime(int fd, int64_t nanos);
// The same for an entry of a directory; a symlink's own.
void setMtimeOf(int dir, const std::string& name, int64_t nanos);

// The time of day, in ns since the epoch.
int64_t wallClockNanos();

}  // namespace pibrain
