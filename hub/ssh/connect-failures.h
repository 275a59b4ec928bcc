#pragma once
// The failures (P8) before a login, whichever program spoke SSH.

#include <string>
#include <string_view>

#include "hub/base/failure.h"
#include "hub/link/step.h"
#include "hub/ssh/target.h"

namespace pibrain {

Failure unresolvedName(const SshTarget& target, const std::string& why);
Failure connectionRefused(const SshTarget& target);
Failure noAnswer(const SshTarget& target);
Failure unreachable(const SshTarget& target, const std::string& why);
// The target's BindAddress cannot be used.
Failure unusableBindAddress(const SshTarget& target);

// A step took longer than ConnectTimeout.
Failure tookTooLong(const SshTarget& target, SshStep step);
// The connection ended in that step, after the server's greeting.
Failure brokeOff(const SshTarget& target, SshStep step, const std::string& why);
// Why a server ends a connection after the login, and where its log is.
inline constexpr char WHY_CUT_AFTER_LOGIN[] =
    "sshd does that if ChrootDirectory in its sshd_config is writable for others than root, or if "
    "the account is not allowed to log in; its log tells which: 'sudo journalctl -u ssh' (or sshd) "
    "on the spoke";
// Both sides have no common algorithm (key exchange, ciphers, …).
Failure nothingInCommon(const SshTarget& target, const std::string& said);

// What failures show instead of a greeting that is not text.
inline constexpr char NO_TEXT[] = "bytes that are not text";

// The server sent `said` instead of its greeting, and ended the connection.
Failure noGreeting(const SshTarget& target, std::string_view said);
// Returns whether `said` means that the server turns connections away, so that a retry may work.
bool turnsAway(std::string_view said);
// Returns whether the greeting is that of a server that speaks only SSH 1.
bool isOldGreeting(std::string_view greeting);
Failure tooOldServer(const SshTarget& target, const std::string& greeting);

// The login worked, but the server refused to open a session for the command.
Failure noSession(const SshTarget& target, const std::string& why);

// … a session, but starts no command in it. `place`: the spoke, safe to print.
Failure commandRefused(const std::string& place, const std::string& why);

// Returns whether OpenSSH's client wrote that.
bool saysCommandRefused(const std::string& errors);

}  // namespace pibrain
