#pragma once
// What OpenSSH's client writes to its standard error, and what it meant.

#include <optional>
#include <string>

#include "hub/ssh/auth-failure.h"
#include "hub/ssh/target.h"

namespace pibrain {

// What OpenSSH's client meant by `errors`, its standard error, when it failed at the target itself
// before it had logged in. With LogLevel DEBUG1 these say most. `authFailure` is what is known of
// the keys.
Failure explainOpenssh(const SshTarget& target, const std::string& errors,
                       const AuthFailure& authFailure);

// What the server sent in place of a greeting before it ended the connection, by the same errors:
// the words themselves if ssh ran with LogLevel DEBUG1, or else none. nullopt: it was not that.
std::optional<std::string> insteadOfGreeting(const SshTarget& target, const std::string& errors);

// What ssh wrote, without the lines in which it tells, with LogLevel DEBUG1 or VERBOSE, of each of
// its steps and counts bytes at its end.
std::string withoutTales(const std::string& errors);

// The last lines that a program wrote, on one line, safe to print and without a full stop; such
// lines of ssh's are left out.
std::string stderrTail(const std::string& errors);

}  // namespace pibrain
