#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "hub/link/access.h"
#include "hub/ssh/libssh2/session.h"
#include "hub/ssh/libssh2/stream.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Lets what runs behind the channel come to its end, for a moment. To be called before a channel is
// closed of which nothing more is wanted: dropbear up to 2022.83 at least ends the connection if a
// program still writes then.
void letEnd(SshStream& stream, kj::Timer& timer, kj::WaitScope& waitScope);

// Tries it, in channels of its own, on a session that has logged in. Each part has ConnectTimeout.
Grant tryByLibssh2(SshSession& session, const SshTarget& target, Access access, kj::Timer& timer,
                   kj::WaitScope& waitScope);

}  // namespace pibrain
