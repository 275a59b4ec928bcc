#pragma once
// What a login may be let do besides starting the agent. A key that is for the agent alone is to be
// refused all of it, which is found out by trying.

#include <optional>
#include <string>
#include <string_view>

namespace pibrain {

enum class Access { COMMAND, SHELL, SUBSYSTEM, FORWARDING, TERMINAL };
inline constexpr Access ALL_ACCESS[] = {Access::COMMAND, Access::SHELL, Access::SUBSYSTEM,
                                        Access::FORWARDING, Access::TERMINAL};

// For people, behind "may": "run other commands", …
const char* toString(Access access);

enum class Grant { REFUSED, GIVEN, UNKNOWN };

// A command for any shell, and what it prints. The answer is no part of the command: who only
// repeats that has not run it.
struct Question {
  std::string command, answer;
};
Question makeQuestion();

// The port of FORWARDING, at the spoke itself: nobody listens there, but for that to be found out,
// forwarding has to be allowed.
inline constexpr int FORWARDED_PORT = 1;

// What to send to a shell, or to the SFTP server; empty for other tries.
std::string inputOf(Access access, const Question& question);

// What came back tells so far; nullopt: nothing yet. The agent's preamble is a refusal: it was
// started in the place of what was asked for.
std::optional<Grant> judgeOutput(Access access, const Question& question, std::string_view output);

}  // namespace pibrain
