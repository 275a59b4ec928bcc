#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "hub/link/access.h"
#include "hub/ssh/libssh2/session.h"

namespace pibrain {

// Tries it in a channel of its own, within `patience` seconds, on a session that has logged in.
Grant tryByLibssh2(SshSession& session, Access access, uint32_t patience, kj::Timer& timer,
                   kj::WaitScope& waitScope);

}  // namespace pibrain
