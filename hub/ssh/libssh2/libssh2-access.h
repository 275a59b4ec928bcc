#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "hub/link/access.h"
#include "hub/ssh/libssh2/session.h"
#include "hub/ssh/libssh2/stream.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Waits a moment for the channel's program to end. Called before closing a channel: dropbear up to
// at least 2022.83 ends the whole connection if a program is still writing then.
void letEnd(SshStream& stream, kj::Timer& timer, kj::WaitScope& waitScope);

// Tries the access in separate channels, on a session that has logged in. Each part has
// ConnectTimeout.
Grant tryByLibssh2(SshSession& session, const SshTarget& target, Access access, kj::Timer& timer,
                   kj::WaitScope& waitScope);

}  // namespace pibrain
