#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hub/link/connect-options.h"
#include "hub/run/checklist.h"

namespace pibrain {

// Reports the steps of a login as checks, with the time of each.
class LoginSteps {
 public:
  // Both must outlive the connection.
  explicit LoginSteps(Checklist& checks) : checks_(checks) {}

  // Returns options for a connection that reports its steps to this object.
  ConnectOptions options(const std::shared_ptr<Passphrases>& passphrases);

  // Returns " (12 ms)", the time since the last step ended, and records it for the current step.
  std::string took();
  void restart() { began_ = std::chrono::steady_clock::now(); }

  // Reports the total time, and what to do if it was long.
  void checkSpeed();

 private:
  Checklist& checks_;
  std::vector<std::pair<int64_t, std::string>> times_;  // ms of each step
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace pibrain
