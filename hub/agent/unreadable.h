#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hub/agent/agent-session.h"
#include "hub/agent/listing.h"

namespace pibrain {

// Returns which of these files the agent cannot read, with the reasons, by having it read the first
// byte of each; without files that are gone by now. Empty if the agent is too old to read only
// that.
std::vector<std::pair<std::string, proto::Reason>> unreadableFiles(
    AgentSession& session, const std::vector<RemoteFile>& files);

}  // namespace pibrain
