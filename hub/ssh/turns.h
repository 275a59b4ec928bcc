#pragma once

#include <chrono>
#include <string>

#include "hub/ssh/target.h"

namespace pibrain {

// A turn to connect to a server, for as long as this object lives. A server turns away those who
// have not logged in yet, beyond a few at a time (sshd_config(5), MaxStartups: ten): so do not more
// than MOST of this program's. Any thread may take one.
class ConnectTurn {
 public:
  static constexpr int MOST = 4;

  // How often it is tried to connect to a server that turns connections away, and how long to wait
  // before each but the first. Spokes of one server that were turned away together come back apart.
  static constexpr int ATTEMPTS = 3;
  static std::chrono::milliseconds pauseBefore(int attempt);

  // Waits until there is one for the target's host and port.
  explicit ConnectTurn(const SshTarget& target);
  ~ConnectTurn();
  ConnectTurn(const ConnectTurn&) = delete;
  ConnectTurn& operator=(const ConnectTurn&) = delete;

 private:
  const std::string server_;
};

}  // namespace pibrain
