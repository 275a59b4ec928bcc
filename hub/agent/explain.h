#pragma once
// From errors to paragraphs for people (P8).

#include <kj/exception.h>

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "common/tree/tree-walk.h"
#include "hub/agent/spoke-session.h"
#include "hub/config/config.h"
#include "hub/link/connection.h"

namespace pibrain {

// What a peer said, escaped, and its middle cut out if that is of more than `most` bytes.
std::string brief(std::string_view text, size_t most = 300);

// What an error of this machine's takes at the most, in bytes: two paths and what is wrong with
// them.
inline constexpr size_t MAX_OWN_TEXT = 1000;

// Whether this machine has no room, memory or descriptors left: no news of the spoke.
bool lacksMeans(const kj::Exception& error);

// How to call the spoke's machine in a message.
std::string placeOf(const SpokeConfig& spoke);

// The conversation broke before the agent's preamble: what `farewell` and the noise tell of why.
std::string explainNoAgent(const SpokeConfig& spoke, const std::string& noise,
                           const Farewell& farewell);

// The login worked, and nothing came for so many seconds but, perhaps, noise.
std::string explainNoStart(const SpokeConfig& spoke, uint32_t seconds, const std::string& noise);

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

// Throws Failure if reading the mirror failed. What this program may not read of it (lost+found,
// say) or cannot have made is a warning: all else can be synced. `unread`, if given, gets the
// directories of which the disk has something that cannot be read, and then these are no reason to
// throw: what is in them has to stay as it is.
void requireReadable(const SpokeConfig& spoke, const Tree& mirror,
                     std::vector<std::string>& warnings,
                     std::unordered_set<std::string>* unread = nullptr);

// How far the agent's clock is ahead of ours, in ns.
int64_t clockDifference(const AgentInfo& agent);

}  // namespace pibrain
