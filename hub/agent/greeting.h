#pragma once
// What the agent says of itself, held against what the config expects.

#include <string>
#include <vector>

#include "hub/agent/agent-info.h"
#include "hub/config/config.h"

namespace pibrain {

// The next two throw Failure: if the agent's protocol and ours have nothing in common; if its root
// cannot be served.
void checkVersion(const SpokeConfig& spoke, const AgentInfo& agent);
void checkRoot(const SpokeConfig& spoke, const AgentInfo& agent);

// What is odd, but no reason to stop; empty if nothing is: about the root, about the clock.
std::string rootMismatch(const SpokeConfig& spoke, const AgentInfo& agent);
std::string clockSkew(const SpokeConfig& spoke, const AgentInfo& agent);

// The agent has answered: throws as checkVersion and checkRoot do, and notes what is odd. `noise`
// is what the spoke's shell printed before.
void validateHello(const SpokeConfig& spoke, const AgentInfo& agent, const std::string& noise,
                   std::vector<std::string>& warnings);

// How far the agent's clock is ahead of ours, in ns.
int64_t clockDifference(const AgentInfo& agent);

}  // namespace pibrain
