#pragma once
// Compares what the agent says of itself with what the config expects.

#include <optional>
#include <string>
#include <vector>

#include "hub/agent/agent-info.h"
#include "hub/config/config.h"

namespace pibrain {

// Throw Failure if the agent's protocol version is not supported; if the agent cannot serve its
// root.
void checkVersion(const SpokeConfig& spoke, const AgentInfo& agent);
void checkRoot(const SpokeConfig& spoke, const AgentInfo& agent);

// Return a warning about the root or the clock, if there is one.
std::optional<std::string> rootMismatch(const SpokeConfig& spoke, const AgentInfo& agent);
std::optional<std::string> clockSkew(const SpokeConfig& spoke, const AgentInfo& agent);

// Checks the agent's answer: throws like checkVersion and checkRoot, and adds warnings to the
// report. `noise`: what the spoke's shell printed before.
void validateHello(const SpokeConfig& spoke, const AgentInfo& agent, const std::string& noise,
                   std::vector<std::string>& warnings);

// Returns how far the agent's clock is ahead of the hub's, in ns.
int64_t clockDifference(const AgentInfo& agent);

}  // namespace pibrain
