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

// Proves who we are with the keys in turn, and returns the name of the one that was accepted. A
// passphrase is asked for on a terminal, if there is one and BatchMode is off. Throws Failure,
// which says what was tried, or, with `allowFallback`, FallBackToOpenssh.
std::string login(SshSession& session, const SshTarget& target, const Identities& identities,
                  Passphrases& passphrases, bool allowFallback, kj::WaitScope& waitScope);

// For an error of the session that is neither the spoke's refusal nor the connection's end: libssh2
// does not understand what came. Throws FallBackToOpenssh with `allowFallback`, or else Failure.
[[noreturn]] void cannotGoOn(SshSession& session, bool allowFallback,
                             const AuthFailure& authFailure = {});

}  // namespace pibrain
