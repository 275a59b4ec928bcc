#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "hub/link/access.h"
#include "hub/ssh/libssh2/session.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

// Tries it, in channels of its own, on a session that has logged in. Each part has ConnectTimeout.
Grant tryByLibssh2(SshSession& session, const SshTarget& target, Access access, kj::Timer& timer,
                   kj::WaitScope& waitScope);

}  // namespace pibrain
