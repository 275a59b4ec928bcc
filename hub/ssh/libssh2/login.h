#pragma once

#include <kj/async.h>

#include <functional>
#include <string>

#include "hub/base/passphrase-prompt.h"
#include "hub/ssh/auth-failure.h"
#include "hub/ssh/identities.h"
#include "hub/ssh/libssh2/fall-back-to-openssh.h"
#include "hub/ssh/libssh2/session.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Logs in with the keys one after the other, and returns the name of the accepted one. Asks for
// passphrases at the terminal, if there is one and BatchMode is off. Throws Failure, which lists
// what was tried, or, with `allowFallback`, FallBackToOpenssh.
std::string login(SshSession& session, const SshTarget& target, const Identities& identities,
                  Passphrases& passphrases, bool allowFallback, kj::WaitScope& waitScope);

// Called for an error that is neither the spoke's refusal nor the end of the connection: libssh2
// does not understand the server. Throws FallBackToOpenssh with `allowFallback`, else Failure.
[[noreturn]] void cannotGoOn(SshSession& session, bool allowFallback,
                             const AuthFailure& authFailure = {});

}  // namespace pibrain
