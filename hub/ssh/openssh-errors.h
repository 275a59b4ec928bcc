#pragma once
// Interprets the standard error of OpenSSH's client.

#include <optional>
#include <string>

#include "hub/ssh/auth-failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// Explains the standard error of an OpenSSH client that failed at the target before the login.
// LogLevel DEBUG1 gives the best result. `authFailure`: what is known of the keys.
Failure explainOpenssh(const SshTarget& target, const std::string& errors,
                       const AuthFailure& authFailure);

// Returns what the server sent instead of a greeting before it ended the connection; without
// LogLevel DEBUG1 always empty. nullopt: something else happened.
std::optional<std::string> insteadOfGreeting(const SshTarget& target, const std::string& errors);

// Returns what ssh wrote without the lines that LogLevel DEBUG1 or VERBOSE adds.
std::string withoutTales(const std::string& errors);

// Returns the last lines that a program wrote as one line, safe to print, without a full stop and
// without such lines of ssh.
std::string stderrTail(const std::string& errors);

}  // namespace pibrain
