#pragma once
// Tells how far an ssh has got, from its output with LogLevel DEBUG1.

#include <chrono>
#include <optional>
#include <string>

#include "hub/base/failure.h"
#include "hub/link/step.h"
#include "hub/ssh/target.h"

namespace pibrain {

// The LogLevel for OpensshUse that the following functions need.
inline constexpr char TELLING_LOG_LEVEL[] = "DEBUG1";

// Returns the latest step that such an ssh has begun.
SshStep stepIn(const std::string& errors);

// Returns the end of the line about the login in its output; npos: not logged in.
size_t endOfLogin(const SshTarget& target, const std::string& errors);

// Returns the command's part of the output; nullopt if ssh has not logged in.
std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors);

// Watches an ssh until its command starts. Each step has its own ConnectTimeout; ssh itself applies
// that only until the server's greeting.
class LoginWatch {
 public:
  explicit LoginWatch(const SshTarget& target);

  // Returns whether the command has started, also on a shared connection, which needs no login.
  // `errors`: all that ssh has written so far.
  bool begun(const std::string& errors);

  // Returns how much time the current step has left.
  std::chrono::milliseconds left() const;
  // Returns the failure of a step that took longer.
  Failure tookTooLong(const std::string& errors) const;

 private:
  const SshTarget& target_;
  SshStep step_ = SshStep::NAME;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace pibrain
