#pragma once
// From errors to paragraphs for people (P8).

#include <kj/exception.h>

#include <string>
#include <vector>

#include "common/tree-walk.h"
#include "hub/config.h"
#include "hub/connection.h"
#include "hub/sync/spoke-session.h"

namespace pibrain {

// What a peer said, escaped, and cut to what can be read.
std::string brief(const std::string& text);

// How to call the spoke's machine in a message.
std::string placeOf(const SpokeConfig& spoke);

// The conversation broke before the agent's preamble: what `farewell` and the noise tell of why.
std::string explainNoAgent(const SpokeConfig& spoke, const std::string& noise,
                           const Farewell& farewell);

// Something failed after it.
std::string explainBroken(const SpokeConfig& spoke, const kj::Exception& error,
                          const Farewell& farewell);

// The next two throw Failure: if the agent's protocol and ours have nothing in common; if its root
// cannot be served.
void checkVersion(const SpokeConfig& spoke, const AgentInfo& agent);
void checkRoot(const SpokeConfig& spoke, const AgentInfo& agent);

// What is odd, but no reason to stop; empty if nothing is: about the root, about the clock.
std::string oddRoot(const SpokeConfig& spoke, const AgentInfo& agent);
std::string oddClock(const SpokeConfig& spoke, const AgentInfo& agent);

// The agent has answered: throws as checkVersion and checkRoot do, and notes what is odd. `noise`
// is what the spoke's shell printed before.
void greet(const SpokeConfig& spoke, const AgentInfo& agent, const std::string& noise,
           std::vector<std::string>& warnings);

// Throws Failure unless the mirror could be read whole.
void requireReadable(const SpokeConfig& spoke, const Tree& mirror);

// How far the agent's clock is ahead of ours, in ns.
int64_t clockDifference(const AgentInfo& agent);

}  // namespace pibrain
