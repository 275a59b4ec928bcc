#pragma once

#include <absl/status/statusor.h>
#include <kj/io.h>

#include <memory>
#include <string>

namespace pibrain {

// A log file for runs that nobody watches: a run's output, each line with the time. When it exceeds
// MAX_BYTES it becomes FILE.1, the previous one FILE.2, up to FILE.KEPT, so that months of runs do
// not fill the disk.
class RunLog {
 public:
  static constexpr int64_t MAX_BYTES = 1 << 20;
  static constexpr int KEPT = 3;

  // Opens or creates the file (0600) and its directory (0700).
  static absl::StatusOr<std::unique_ptr<RunLog>> open(const std::string& path);

  // Appends whole lines. Errors are ignored, because the run itself reports a full disk.
  void write(const std::string& text);

 private:
  explicit RunLog(kj::AutoCloseFd fd) : fd_(kj::mv(fd)) {}

  kj::AutoCloseFd fd_;
};

}  // namespace pibrain
