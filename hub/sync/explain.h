#pragma once
// From errors to paragraphs for people (P8).

#include <kj/exception.h>

#include <string>

#include "hub/config.h"
#include "hub/connection.h"
#include "hub/sync/spoke-session.h"

namespace pibrain {

// How to call the spoke's machine in a message.
std::string placeOf(const SpokeConfig& spoke);

// The conversation broke before the agent's preamble: what `farewell` and the noise tell of why.
std::string explainNoAgent(const SpokeConfig& spoke, const std::string& noise,
                           const Farewell& farewell);

// Something failed after it.
std::string explainBroken(const SpokeConfig& spoke, const kj::Exception& error,
                          const Farewell& farewell);

// Throws Failure if the agent's protocol and ours have nothing in common, or its root cannot be
// served. `warn` gets what is odd but no reason to stop.
void checkAgent(const SpokeConfig& spoke, const AgentInfo& agent,
                kj::FunctionParam<void(std::string)> warn);

}  // namespace pibrain
