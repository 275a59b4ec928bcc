#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hub/link/connect-options.h"
#include "hub/run/checklist.h"

namespace pibrain {

// The steps of a login, as checks, and how long each took.
class LoginSteps {
 public:
  // Both have to outlive the connection.
  explicit LoginSteps(Checklist& checks) : checks_(checks) {}

  // Options for a connection that tells of its steps here.
  ConnectOptions options(const std::shared_ptr<Passphrases>& passphrases);

  // " (12 ms)": the time since the last step ended, which becomes that of the step that is at work.
  std::string took();
  void restart() { began_ = std::chrono::steady_clock::now(); }

  // How long it took in all, and what to do if that was long.
  void checkSpeed();

 private:
  Checklist& checks_;
  std::vector<std::pair<int64_t, std::string>> times_;  // ms of each step
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace pibrain
