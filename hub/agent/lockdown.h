#pragma once

#include <kj/async-io.h>

#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/link/connection.h"

namespace pibrain {

// What a key can do besides starting the agent, found by trying everything.
struct Lockdown {
  std::vector<Access> given;    // granted
  std::vector<Access> unknown;  // could not be determined

  bool complete() const { return given.empty() && unknown.empty(); }

  // Returns the result without a full stop: what is granted wrongly, with the fix; or what could
  // not be determined; or that everything was refused.
  std::string verdict(const std::string& place) const;

  // Returns the same as a failure, for a key that is not locked down.
  Failure failure(const std::string& place) const;
};

// Tries everything. Must be called last, since it ends the agent.
Lockdown examineLockdown(Connection& connection, kj::AsyncIoContext& io);

}  // namespace pibrain
