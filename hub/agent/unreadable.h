#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hub/agent/agent-session.h"
#include "hub/agent/listing.h"

namespace pibrain {

// Which of these files the agent cannot read, with the reasons, found out by having it read the
// first byte of each. Not those that are gone by now. None if the agent is too old to read no more
// than that.
std::vector<std::pair<std::string, proto::Reason>> unreadableFiles(
    AgentSession& session, const std::vector<RemoteFile>& files);

}  // namespace pibrain
