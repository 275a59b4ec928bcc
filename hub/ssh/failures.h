#pragma once
// The paragraphs (P8) for what goes wrong on the way to a login, whichever program spoke SSH.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/link/step.h"
#include "hub/ssh/known-hosts.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

std::string unresolvedName(const SshTarget& target, const std::string& why);
std::string connectionRefused(const SshTarget& target);
std::string noAnswer(const SshTarget& target);
std::string unreachable(const SshTarget& target, const std::string& why);

// A step that was not done within ConnectTimeout.
std::string tookTooLong(const SshTarget& target, SshStep step);
// The connection ended in that step, after the server's greeting.
std::string brokeOff(const SshTarget& target, SshStep step, const std::string& why);
// Why a server ends a connection when the login has worked, and where it says so.
inline constexpr char WHY_CUT_AFTER_LOGIN[] =
    "sshd does that when ChrootDirectory in its sshd_config names what others than root may write "
    "to, or the account may not log in; its log says which: 'sudo journalctl -u ssh' (or sshd) on "
    "the spoke";
// What both sides can do (key exchange, ciphers, …) has nothing in common.
std::string nothingInCommon(const SshTarget& target, const std::string& said);

// The server sent `said` in place of its greeting, and nothing more.
std::string noGreeting(const SshTarget& target, std::string_view said);
// Whether that means that it turns connections away, which may be over a moment later.
bool turnsAway(std::string_view said);
// Whether a greeting is that of a server which speaks nothing but SSH 1.
bool isOldGreeting(std::string_view greeting);
std::string tooOldServer(const SshTarget& target, const std::string& greeting);

// The login worked, and then the server opened no session for the command.
std::string noSession(const SshTarget& target, const std::string& why);

// `shown` is the fingerprint and type of the key that the host shows; empty: not known.
std::string unknownHostKey(const SshTarget& target, bool hasCertAuthority,
                           const std::string& shown);
// `unread` is a file, and why it cannot be read.
std::string unreadKnownHosts(const SshTarget& target, const std::string& unread,
                             const std::string& shown);
std::string changedHostKey(const SshTarget& target, const KnownHost& known,
                           const std::string& shown);
std::string revokedHostKey(const SshTarget& target, const std::string& shown,
                           const std::string& where);

// Whose login it is: what it is for says what a person does about it.
enum class LoginOf { AGENT, RSYNC, PERSON };

// What is known of the keys with which nobody was let in. All of it is safe to print but the paths.
struct AuthFailure {
  std::vector<std::string> tried;      // each key and what became of it
  std::vector<std::string> encrypted;  // paths of identity files that want a passphrase
  std::string notSigned;               // a key that would do, but whose agent did not sign
  std::string wanted;    // what the spoke wants besides a key that it accepted: "password"
  bool offered = false;  // a key was offered, and refused
  std::string methods;   // by which the spoke lets in, as it said; empty: it did not say
  bool tooMany = false;  // the spoke listened to no more keys
  std::string notTaken;  // the type of the keys, if the spoke takes none of it: "ED25519"
  LoginOf of = LoginOf::AGENT;
};
std::string permissionDenied(const SshTarget& target, const AuthFailure& authFailure);

// Whether these words of the server's mean that it listens to no more keys.
bool saysTooMany(std::string_view said);

// What OpenSSH's client meant by `errors`, its standard error, when it failed at the target itself
// before it had logged in. With LogLevel DEBUG1 these say most. `authFailure` is what is known of
// the keys.
std::string explainOpenssh(const SshTarget& target, const std::string& errors,
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

// "ssh …" as a person would type it to get there as pi-brain does.
std::string sshInvocation(const SshTarget& target);
std::string sshInvocation(const SshRequest& request);

// How to add the host's key to known_hosts: "add it with '…'", for the end of a sentence.
std::string addingCommand(const SshTarget& target);

}  // namespace pibrain
