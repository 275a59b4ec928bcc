#pragma once

#include <stdint.h>

#include <string>

namespace pibrain {

// Where a TCP connection goes.
struct Endpoint {
  std::string address;  // numeric
  uint16_t port = 0;
  // The ssh configuration that led there: sshConfigState() (hub/ssh/config-files.h). Empty: not
  // known.
  std::string configState = "";

  bool operator==(const Endpoint&) const = default;
};

}  // namespace pibrain
