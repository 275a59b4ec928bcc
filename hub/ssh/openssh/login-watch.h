#pragma once
// How far an ssh is, by what it writes with LogLevel DEBUG1.

#include <chrono>
#include <optional>
#include <string>

#include "hub/base/failure.h"
#include "hub/link/step.h"
#include "hub/ssh/target.h"

namespace pibrain {

// For OpensshUse, so that ssh writes what the following goes by.
inline constexpr char TELLING_LOG_LEVEL[] = "DEBUG1";

// The latest step that such an ssh has begun, by what it wrote.
SshStep stepIn(const std::string& errors);

// Where, in that, the line that it logged in ends; npos: it did not.
size_t endOfLogin(const SshTarget& target, const std::string& errors);

// Of what ssh wrote with that LogLevel: what the command behind it wrote; nullopt if ssh has not
// logged in.
std::optional<std::string> errorsAfterLogin(const SshTarget& target, const std::string& errors);

// Watches an ssh, by what it writes with that LogLevel, until the command behind it begins. Each
// step has ConnectTimeout for itself, which ssh counts to the server's greeting only.
class LoginWatch {
 public:
  explicit LoginWatch(const SshTarget& target);

  // `errors`: all that ssh has written so far. True once the command begins, or the connection is
  // one that somebody has open, which logs in no more.
  bool begun(const std::string& errors);

  // How long the step may still take.
  std::chrono::milliseconds left() const;
  // What it means that it took longer.
  Failure tookTooLong(const std::string& errors) const;

 private:
  const SshTarget& target_;
  SshStep step_ = SshStep::NAME;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace pibrain
