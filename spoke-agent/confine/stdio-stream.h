#pragma once
// The pair of pipes that sshd gives a command, as one stream. KJ's own descriptor streams would
// link all of its networking, and with it libc's resolver: a fifteenth of the program.

#include <kj/async-io.h>
#include <kj/async-unix.h>

namespace pibrain {

// Ends the program a second after the hub hangs up, whatever it is doing. Called before
// takeStdio().
void endAfterHangUp();

// Takes over standard input and output. File descriptor 1 becomes standard error, so that a stray
// print cannot corrupt the protocol. Throws, with a message for the person who started the program,
// if either is not a pipe or a socket.
kj::Own<kj::AsyncIoStream> takeStdio(kj::UnixEventPort& port);

}  // namespace pibrain
