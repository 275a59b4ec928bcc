#pragma once

#include <kj/async.h>

#include "hub/ssh/resolve.h"
#include "hub/ssh/session.h"

namespace pibrain {

// Proves who we are, with keys in OpenSSH's order: the agent's that IdentityFile names, the
// agent's others unless IdentitiesOnly, then the files. Throws Failure, which says what was tried.
void login(SshSession& session, const SshTarget& target, kj::WaitScope& waitScope);

}  // namespace pibrain
