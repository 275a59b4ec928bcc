#pragma once
// Which of several files of the mirror a created one was, where name, size and time do not tell.

#include "hub/agent/agent-session.h"
#include "hub/agent/plan.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// Asks the agent for hashes of the files' beginnings, all at once, and finds those of the mirror's
// files among them; of files with an exact candidate, of all that they hold. Each of these is read
// once for that. What is found becomes the file's candidates, and what is not found is new. Asks
// nothing if no file has a group of candidates.
void matchMoves(Plan& plan, Mirror& mirror, AgentSession& session);

// How much of a file of this size is hashed to find it again when it has grown.
uint64_t beginningOf(uint64_t size);

}  // namespace pibrain
