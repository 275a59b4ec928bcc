#pragma once
// What a login can do besides starting the agent. A locked-down key must be refused all of it,
// which is checked by trying, and by what sshd reports of the key's line.

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
  CONNECT,  // make the spoke connect to a port
  LISTEN,   // make the spoke listen at a port
  SOCKETS,  // make the spoke connect to a Unix socket
  AGENT,
  X11,
};
inline constexpr Access ALL_ACCESS[] = {Access::COMMAND,  Access::SHELL,   Access::SUBSYSTEM,
                                        Access::TERMINAL, Access::CONNECT, Access::LISTEN,
                                        Access::SOCKETS,  Access::AGENT,   Access::X11};

// Returns words for people that follow "can": "run other commands", …
const char* toString(Access access);

enum class Grant { REFUSED, GIVEN, UNKNOWN };

// A request, and the answer that proves that it was carried out. The answer does not occur in the
// request, so that an echo proves nothing.
struct Question {
  std::string command;  // for any shell
  std::string input;
  std::string answer;  // empty: none, only the time that it takes is the proof
  // Whether its input ends after `input`. (An SFTP server would then not answer, and the agent
  // would end.)
  bool inputEnds = true;
  // Whether the answer can also come after the agent's preamble, or on standard error.
  bool lingers = false;
};

// Returns the questions to ask in this order until one is granted; empty for accesses that need no
// session. Their commands change nothing on the spoke and do not outlive the connection.
std::vector<Question> questionsOf(Access access);

// Returns the verdict on the output so far; nullopt: none yet. The agent's preamble means refusal:
// the agent was started instead of the command.
std::optional<Grant> judgeOutput(const Question& question, std::string_view output);

// How long to wait after the preamble for the answer to a question that lingers.
inline constexpr std::chrono::milliseconds LINGERING{300};

using Seconds = std::chrono::duration<double>;
inline constexpr Seconds SLEEP{4};

// Judges whether a command runs invisibly before the agent: then the agent is later by the time
// that the command takes. `answers` returns how long the agent, or the end, took when this command
// was requested; nullopt: neither came.
Grant judgeDelay(const std::function<std::optional<Seconds>(const std::string& command)>& answers);

// The destinations for CONNECT, SOCKETS and LISTEN, which leave nothing behind. CONNECT uses the
// port of the spoke's own sshd, because some old servers give the same answer for closed ports and
// forbidden ones.
inline constexpr char LOOPBACK[] = "127.0.0.1";
inline constexpr char NO_SOCKET[] = "/proc/pi-brain";  // nobody can create it
// Port 0 means any port; some servers refuse it but allow a specific one.
std::vector<int> listeningPorts();

// The options that a key's line grants. Since 7.7, OpenSSH's sshd sends them in a debug message
// after the login: "FILE:LINE: key options: command port-forwarding".
using KeyOptions = std::vector<std::string>;
// Returns those of the last such message in `text`.
std::optional<KeyOptions> keyOptionsIn(std::string_view text);

// Combines the result of a try with the options. One refused port proves nothing about other ports,
// unless the line forbids them all.
Grant decideGrant(Access access, Grant tried, const std::optional<KeyOptions>& options);

}  // namespace pibrain
