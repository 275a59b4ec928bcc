#pragma once
// From errors to paragraphs for people (P8).

#include <kj/exception.h>

#include <string>

#include "hub/agent/spoke-session.h"
#include "hub/config/config.h"
#include "hub/link/connection.h"

namespace pibrain {

// Whether this machine has no room, memory or descriptors left: no news of the spoke.
bool lacksMeans(const kj::Exception& error);

// The conversation broke before the agent's preamble: what `farewell` and the noise tell of why.
std::string explainNoAgent(const SpokeConfig& spoke, const std::string& noise,
                           const Farewell& farewell);

// The login worked, and nothing came for so many seconds but, perhaps, noise.
std::string explainNoStart(const SpokeConfig& spoke, uint32_t seconds, const std::string& noise);

// Something failed after it.
std::string explainBroken(const SpokeConfig& spoke, const kj::Exception& error,
                          const Farewell& farewell);

// What an exception of the conversation with the agent meant.
std::string explainConversation(const SpokeConfig& spoke, const kj::Exception& e,
                                Connection& connection, const SpokeSession& session,
                                kj::WaitScope& waitScope);

}  // namespace pibrain
