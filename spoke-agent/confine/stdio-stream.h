#pragma once
// The pair of pipes that sshd gives a command, as one stream. KJ's own streams of descriptors come
// with all of its networking, and that with the resolver of libc: a fifteenth of the program.

#include <kj/async-io.h>
#include <kj/async-unix.h>

namespace pibrain {

// Ends the program, a second after the hub has hung up, whatever it is at then. Call it before
// takeStdio().
void endAfterHangUp();

// Takes standard input and output over. File descriptor 1 becomes standard error, so that a stray
// print cannot corrupt the protocol. Throws, in words for the person who started the program, if
// either is not a pipe or a socket.
kj::Own<kj::AsyncIoStream> takeStdio(kj::UnixEventPort& port);

}  // namespace pibrain
