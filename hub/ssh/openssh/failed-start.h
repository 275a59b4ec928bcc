#pragma once

#include <optional>
#include <string>

#include "hub/ssh/auth-failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Why ssh ended by itself before the command behind it began: at the way to the target, at the
// login, or since the server opened no session.
Failure explainFailedStart(const SshTarget& target, const std::string& errors,
                           const AuthFailure& authFailure);

// Whether the way to it is no TCP connection of ours.
bool isProxied(const SshTarget& target);

// Why the way there ended before the target's greeting: `errors` is what it wrote.
Failure explainProxy(const SshTarget& target, const std::string& errors);

}  // namespace pibrain
