#pragma once

#include <kj/async-io.h>

#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/link/connection.h"

namespace pibrain {

// What a key lets in besides the agent, by having tried it all.
struct Lockdown {
  std::vector<Access> given;    // it is let do this
  std::vector<Access> unknown;  // whether it is could not be found out

  bool complete() const { return given.empty() && unknown.empty(); }

  // What was shown, without its full stop: what is given that should not be, and the cure; or what
  // could not be found out; or that all was refused.
  std::string verdict(const std::string& place) const;

  // The same as a failure, for a key that lets in what it should not.
  Failure failure(const std::string& place) const;
};

// To be called last: it ends the agent.
Lockdown examineLockdown(Connection& connection, kj::AsyncIoContext& io);

}  // namespace pibrain
