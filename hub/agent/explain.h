#pragma once
// Turns errors into failures that a person can read (P8).

#include <kj/exception.h>

#include <string>

#include "hub/base/failure.h"
#include "hub/config/config.h"
#include "hub/link/connection.h"

namespace pibrain {

// Returns whether the hub itself has no disk space, memory or descriptors left, which says nothing
// about the spoke.
bool isLocalExhaustion(const kj::Exception& error);

// What is known of an agent when its conversation broke.
struct Heard {
  bool agent = false;  // its preamble came
  std::string noise;   // what came before the preamble, or instead
  ExitInfo exitInfo;
};

// Explains a broken conversation. `idleSeconds`: the limit of silence.
Failure explainConversation(const SpokeConfig& spoke, const kj::Exception& error,
                            const Heard& heard, uint32_t idleSeconds);

// The same for an error on the hub, outside a conversation.
Failure explainOutside(const SpokeConfig& spoke, const kj::Exception& error);

}  // namespace pibrain
