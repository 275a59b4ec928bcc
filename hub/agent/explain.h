#pragma once
// From errors to paragraphs for people (P8).

#include <kj/exception.h>

#include <string>

#include "hub/config/config.h"
#include "hub/link/connection.h"

namespace pibrain {

// Whether this machine has no room, memory or descriptors left: no news of the spoke.
bool isLocalExhaustion(const kj::Exception& error);

// The conversation broke before the agent's preamble: what `exitInfo` and the noise tell of why.
std::string explainNoAgent(const SpokeConfig& spoke, const std::string& noise,
                           const ExitInfo& exitInfo);

// The login worked, and nothing came for so many seconds but, perhaps, noise.
std::string explainNoStart(const SpokeConfig& spoke, uint32_t seconds, const std::string& noise);

// Something failed after it.
std::string explainBroken(const SpokeConfig& spoke, const kj::Exception& error,
                          const ExitInfo& exitInfo);

// What is known of an agent with which the conversation broke.
struct Heard {
  bool agent = false;  // its preamble came
  std::string noise;   // what came before that, or in its place
  ExitInfo exitInfo;
};

// The conversation broke, somewhere. `idleSeconds`: how long silence was borne.
std::string explainConversation(const SpokeConfig& spoke, const kj::Exception& error,
                                const Heard& heard, uint32_t idleSeconds);

}  // namespace pibrain
