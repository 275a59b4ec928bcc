#pragma once

#include <absl/status/statusor.h>
#include <kj/io.h>

#include <memory>
#include <string>

namespace pibrain {

// A log file for runs that nobody watches: what a run says, each line with the time before it.
// When it has grown beyond MAX_BYTES it becomes FILE.1, the one before FILE.2, up to FILE.KEPT;
// that bounds what months of runs leave.
class RunLog {
 public:
  static constexpr int64_t MAX_BYTES = 1 << 20;
  static constexpr int KEPT = 3;

  // Opens or makes the file (0600) and its directory (0700).
  static absl::StatusOr<std::unique_ptr<RunLog>> open(const std::string& path);

  // Appends text of whole lines. What cannot be written is lost: a full disk is the run's affair.
  void write(const std::string& text);

 private:
  explicit RunLog(kj::AutoCloseFd fd) : fd_(kj::mv(fd)) {}

  kj::AutoCloseFd fd_;
};

}  // namespace pibrain
