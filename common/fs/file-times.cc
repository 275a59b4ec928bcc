#include "common/fs/file-times.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/common.h>
#include <time.h>

#include <algorithm>

#include "common/fs/io-error.h"

namespace pibrain {

namespace {

constexpr int64_t SECOND = 1'000'000'000;  // in nanoseconds

struct timespec timespecOf(int64_t nanos) {
  int64_t seconds = nanos / SECOND;
  int64_t rest = nanos % SECOND;
  if (rest < 0) {
    --seconds;
    rest += SECOND;
  }
  return {seconds, rest};
}

int64_t nanosOf(const struct timespec& time) {
  auto nanos = __int128(time.tv_sec) * SECOND + time.tv_nsec;
  return int64_t(std::clamp<__int128>(nanos, INT64_MIN, INT64_MAX));
}

}  // namespace

int64_t mtimeOf(const struct stat& st) { return nanosOf(st.st_mtim); }

int64_t ctimeOf(const struct stat& st) { return nanosOf(st.st_ctim); }

void setMtime(int fd, int64_t nanos) {
  struct timespec times[2] = {timespecOf(nanos), timespecOf(nanos)};
  if (futimens(fd, times) != 0) throwErrno(errno, "cannot set a file's time");
}

void setMtimeOf(int dir, const std::string& name, int64_t nanos) {
  struct timespec times[2] = {timespecOf(nanos), timespecOf(nanos)};
  if (utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    throwErrno(errno, "cannot set a file's time");
  }
}

int64_t wallClockNanos() {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t(now.tv_sec) * SECOND + now.tv_nsec;
}

}  // namespace pibrain
