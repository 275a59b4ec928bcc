#pragma once

#include <stdint.h>

#include <string>

#include "proto/agent.capnp.h"

namespace pibrain {

// The agent's answer to hello.
struct AgentInfo {
  std::string version;
  uint32_t protocol = 0;
  uint32_t oldestProtocol = 0;
  std::string host;
  int64_t clock = 0;  // ns since the epoch
  std::string root;
  std::string home;
  proto::RootState rootState = proto::RootState::SERVED;
  std::string sandbox;
  bool partlyConfined = false;
  bool forced = false;
  bool keyed = false;
  bool hashesBeginnings = false;
};

}  // namespace pibrain
