#pragma once
// Finds which of several files of the mirror a created one was, where name, size and time do not
// tell.

#include "hub/agent/agent-session.h"
#include "hub/agent/plan.h"
#include "hub/mirror/mirror.h"

namespace pibrain {

// Requests the hashes of the files' beginnings, all at once (of whole files for exact candidates),
// and compares them with the mirror's files, each of which is read once. Matches become the file's
// candidates; a file without a match is new. Requests nothing if no file has a group of candidates.
void matchMoves(Plan& plan, Mirror& mirror, AgentSession& session);

// Returns how many of the first bytes of a file of this size are hashed to recognise it after it
// has grown.
uint64_t beginningOf(uint64_t size);

}  // namespace pibrain
