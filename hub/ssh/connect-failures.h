#pragma once
// The failures (P8) of what goes wrong on the way to a login, whichever program spoke SSH.

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
// Its BindAddress leads nowhere.
Failure unusableBindAddress(const SshTarget& target);

// A step that was not done within ConnectTimeout.
Failure tookTooLong(const SshTarget& target, SshStep step);
// The connection ended in that step, after the server's greeting.
Failure brokeOff(const SshTarget& target, SshStep step, const std::string& why);
// Why a server ends a connection when the login has worked, and where it says so.
inline constexpr char WHY_CUT_AFTER_LOGIN[] =
    "sshd does that when ChrootDirectory in its sshd_config names what others than root may write "
    "to, or the account may not log in; its log says which: 'sudo journalctl -u ssh' (or sshd) on "
    "the spoke";
// What both sides can do (key exchange, ciphers, …) has nothing in common.
Failure nothingInCommon(const SshTarget& target, const std::string& said);

// What ssh shows in place of a greeting that is no text.
inline constexpr char NO_TEXT[] = "bytes that are not text";

// The server sent `said` in place of its greeting, and nothing more.
Failure noGreeting(const SshTarget& target, std::string_view said);
// Whether that means that it turns connections away, which may be over a moment later.
bool turnsAway(std::string_view said);
// Whether a greeting is that of a server which speaks nothing but SSH 1.
bool isOldGreeting(std::string_view greeting);
Failure tooOldServer(const SshTarget& target, const std::string& greeting);

// The login worked, and then the server opened no session for the command.
Failure noSession(const SshTarget& target, const std::string& why);

// … a session, in which it starts no command. `place`: the spoke, safe to print.
Failure commandRefused(const std::string& place, const std::string& why);

// Whether that is what OpenSSH's client wrote.
bool saysCommandRefused(const std::string& errors);

}  // namespace pibrain
