#include "hub/cli/run-log.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file-io.h"
#include "common/rooted-dir.h"
#include "common/text.h"
#include "hub/files.h"

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
  struct stat st;
  if (stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > MAX_BYTES) rotate(path);
  kj::AutoCloseFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600));
  if (fd.get() < 0) {
    return absl::UnavailableError(absl::StrCat("the log ", escapeForTerminal(path),
                                               " cannot be opened: ", strerror(errno)));
  }
  return std::unique_ptr<RunLog>(new RunLog(kj::mv(fd)));
}

void RunLog::write(const std::string& text) {
  auto time = formatTime(wallClockNanos());
  std::string stamped;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&stamped, time, line.substr(0, 1) == " " ? "" : " ", line, "\n");
  }
  // In one call, so that two runs' lines do not mix.
  (void)!::write(fd_, stamped.data(), stamped.size());
}

}  // namespace pibrain
