#pragma once

#include <optional>
#include <string>

#include "hub/ssh/auth-failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Explains why ssh ended before its command started: at the proxy, at the login, or because the
// server opened no session.
Failure explainFailedStart(const SshTarget& target, const std::string& errors,
                           const AuthFailure& authFailure);

// Returns whether the target is reached through a proxy.
bool isProxied(const SshTarget& target);

// Explains why the proxy ended before the target's greeting. `errors`: what it wrote.
Failure explainProxy(const SshTarget& target, const std::string& errors);

}  // namespace pibrain
