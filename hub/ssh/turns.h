#pragma once

#include <chrono>
#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// A turn to connect to a server, held as long as this object lives. sshd turns connections away if
// too many have not logged in yet (sshd_config(5), MaxStartups: ten), so this limits them to MOST
// per server. Any thread may take a turn.
class ConnectTurn {
 public:
  static constexpr int MOST = 4;

  // How often to try a server that turns connections away, and how long to wait before each retry.
  // The waits differ, so that spokes of one server do not retry together.
  static constexpr int ATTEMPTS = 3;
  static std::chrono::milliseconds pauseBefore(int attempt);

  // Waits for a turn for the target's host and port.
  explicit ConnectTurn(const SshTarget& target);
  ~ConnectTurn();
  ConnectTurn(const ConnectTurn&) = delete;
  ConnectTurn& operator=(const ConnectTurn&) = delete;

 private:
  const std::string server_;
};

}  // namespace pibrain
