#include "hub/view/run-log.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs/file-times.h"
#include "common/fs/rooted-dir.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

void rotate(const std::string& path) {
  for (int number = RunLog::KEPT; number > 0; --number) {
    auto from = number == 1 ? path : absl::StrCat(path, ".", number - 1);
    rename(from.c_str(), absl::StrCat(path, ".", number).c_str());
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunLog>> RunLog::open(const std::string& path) {
  auto above = std::string(parentOf(path));
  if (!above.empty()) {
    auto made = makeDirectories(above);
    if (!made.ok()) return made;
  }
  for (bool rotated = false;; rotated = true) {
    kj::AutoCloseFd fd(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600));
    if (fd.get() < 0) {
      return absl::UnavailableError(absl::StrCat("the log ", escapeForTerminal(path),
                                                 " cannot be opened: ", strerror(errno)));
    }
    struct stat here, there;
    bool full =
        !rotated && fstat(fd, &here) == 0 && S_ISREG(here.st_mode) && here.st_size > MAX_BYTES;
    if (!full) return std::unique_ptr<RunLog>(new RunLog(kj::mv(fd)));
    // If two runs find the log full, one rotates it; the other then finds a new file.
    flock(fd, LOCK_EX);
    if (stat(path.c_str(), &there) == 0 && there.st_ino == here.st_ino) rotate(path);
  }
}

void RunLog::write(const std::string& text) {
  auto time = formatTime(wallClockNanos());
  std::string stamped;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&stamped, time, line.substr(0, 1) == " " ? "" : " ", line, "\n");
  }
  // In one call, so that the lines of two runs do not mix.
  (void)!::write(fd_, stamped.data(), stamped.size());
}

}  // namespace pibrain
