#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hub/base/failure.h"
#include "hub/daemon/kept-spokes.h"
#include "hub/daemon/mailbox.h"
#include "hub/daemon/states.h"
#include "hub/daemon/watchers.h"
#include "proto/control.capnp.h"

namespace pibrain {

// What a daemon's commands ask for.
struct DaemonParts {
  KeptSpokes& spokes;
  const LiveStates& states;
  Watchers& watchers;
  Mailbox& mailbox;
  kj::Timer& timer;
  std::function<void(control::About::Builder)> about;
  std::function<std::vector<std::string>()> names;  // of all spokes in the config
  std::function<std::optional<Failure>()> reload;
  std::function<void()> stop;
};

// Answers them. `parts` must outlive the result, and what it refers to, too.
control::Daemon::Client makeControlServer(const DaemonParts& parts);

}  // namespace pibrain
