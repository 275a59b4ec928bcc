#pragma once
// What a login may be let do besides starting the agent. A key that is for the agent alone is to be
// refused all of it, which is found out by trying, and by what sshd says of the key's line.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pibrain {

enum class Access {
  COMMAND,
  SHELL,
  SUBSYSTEM,
  TERMINAL,
  CONNECT,  // have the spoke connect to a port
  LISTEN,   // have the spoke listen at a port
  SOCKETS,  // have the spoke connect to a Unix socket
  AGENT,
  X11,
};
inline constexpr Access ALL_ACCESS[] = {Access::COMMAND,  Access::SHELL,   Access::SUBSYSTEM,
                                        Access::TERMINAL, Access::CONNECT, Access::LISTEN,
                                        Access::SOCKETS,  Access::AGENT,   Access::X11};

// For people, behind "may": "run other commands", …
const char* toString(Access access);

enum class Grant { REFUSED, GIVEN, UNKNOWN };

// What is asked for, and what tells that it was done. The answer is no part of what is sent: who
// only repeats that has not done it.
struct Question {
  std::string command;  // for any shell
  std::string input;
  std::string answer;  // empty: none, only the time that it takes tells
  // Whether it is to see the end of its input, and goes by that. (An SFTP server would keep its
  // answer to itself then, and the agent end.)
  bool inputEnds = true;
  // Whether the answer may also come behind the agent's preamble, or in standard error.
  bool lingers = false;
};

// Each is to be asked, in this order, until one is granted; none for what is no session. Nothing
// that they start changes anything on the spoke or outlives them.
std::vector<Question> questionsOf(Access access);

// What came back tells so far; nullopt: nothing yet. The agent's preamble is a refusal: it was
// started in the place of what was asked for.
std::optional<Grant> judgeOutput(const Question& question, std::string_view output);

// How long to look on behind the preamble for a question that lingers.
inline constexpr std::chrono::milliseconds LINGERING{300};

using Seconds = std::chrono::duration<double>;
inline constexpr Seconds SLEEP{4};

// Whether a command is run before the agent that shows in no other way: then the agent comes as
// much later as the command takes. `answers` gives how long the agent, or the end, took when
// this command was asked for; nullopt: it did not come.
Grant judgeDelay(const std::function<std::optional<Seconds>(const std::string& command)>& answers);

// How CONNECT, SOCKETS and LISTEN are asked for, in a way that leaves nothing behind. The spoke's
// sshd itself is connected to: some old ones say of ports where nobody listens what they say of
// forbidden ones.
inline constexpr char LOOPBACK[] = "127.0.0.1";
inline constexpr char NO_SOCKET[] = "/proc/pi-brain";  // nobody can make that
// 0 is any port; some servers refuse that where they would let the other one.
std::vector<int> listeningPorts();

// The options that a key's line leaves it. OpenSSH's sshd, since 7.7, tells them in a debug message
// after the login: "FILE:LINE: key options: command port-forwarding".
using KeyOptions = std::vector<std::string>;
// From the last such message in `text`.
std::optional<KeyOptions> keyOptionsIn(std::string_view text);

// What is known of it, from one try and from the options. A port that is refused says nothing of
// other ports, unless the line forbids them all.
Grant decideGrant(Access access, Grant tried, const std::optional<KeyOptions>& options);

}  // namespace pibrain
