#pragma once
// From errors to what a person reads of them (P8).

#include <kj/exception.h>

#include <string>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/link/connection.h"

namespace pibrain {

// Whether this machine has no room, memory or descriptors left: no news of the spoke.
bool isLocalExhaustion(const kj::Exception& error);

// What is known of an agent with which the conversation broke.
struct Heard {
  bool agent = false;  // its preamble came
  std::string noise;   // what came before that, or in its place
  ExitInfo exitInfo;
};

// The conversation broke, somewhere. `idleSeconds`: how long silence was borne.
Failure explainConversation(const SpokeConfig& spoke, const kj::Exception& error,
                            const Heard& heard, uint32_t idleSeconds);

// The same of an error outside of a conversation, on this machine.
Failure explainOutside(const SpokeConfig& spoke, const kj::Exception& error);

}  // namespace pibrain
