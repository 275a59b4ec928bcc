#include "hub/link/access.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <random>

#include "common/wire/protocol.h"

namespace pibrain {

namespace {

using namespace std::string_literals;

// draft-ietf-secsh-filexfer-02, section 4: the packet's length and type, the protocol's version.
const std::string SFTP_INIT = "\0\0\0\5\1\0\0\0\3"s;
const std::string SFTP_VERSION = "\2\0\0\0"s;

uint32_t randomBetween(uint32_t least, uint32_t most) {
  std::random_device random;
  return std::uniform_int_distribution<uint32_t>(least, most)(random);
}

// Asks for a sum by expr(1).
Question sum() {
  uint32_t one = randomBetween(100'000'000, 999'999'999);
  uint32_t other = randomBetween(100'000'000, 999'999'999);
  return {absl::StrCat("expr ", one, " + ", other), "", absl::StrCat(one + other)};
}

// Forced commands that filter may pass commands that they know, reject odd characters, or hide
// output, so several commands are tried.
std::vector<Question> commands() {
  // If a wrapper discards the output, the command writes into the wrapper's own output, but only if
  // that is a pipe, since then it is sshd's.
  Question hidden = sum();
  hidden.lingers = true;
  hidden.inputEnds = false;  // the end of input would end the agent too soon
  hidden.command = absl::StrCat(hidden.command, "; test -p /proc/$PPID/fd/1 && ", hidden.command,
                                " >>/proc/$PPID/fd/1");
  return {
      hidden,
      {"id", "", "uid="},
      {"cat /proc/self/cmdline", "", "cat\0/proc/self/cmdline"s},
      // rsync begins with its protocol's version, four bytes of which three are zero.
      {"rsync --server --sender -e.LsfxCIvu . .", "", "\0\0\0"s},
      // After a NUL byte, scp sends the file's mode, size and name.
      {"scp -f /proc/version", "\0"s, "C0444 0 version\n"},
  };
}

bool has(const KeyOptions& options, std::string_view name) {
  return std::find(options.begin(), options.end(), name) != options.end();
}

// The option that a restricted key needs for it, and the option that allows some destinations
// (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
struct NeededOption {
  Access access;
  const char* name;
  const char* places = nullptr;
};
constexpr NeededOption NEEDED_OPTIONS[] = {
    {Access::TERMINAL, "pty"},
    {Access::CONNECT, "port-forwarding", "permitopen"},
    {Access::LISTEN, "port-forwarding", "permitlisten"},
    {Access::SOCKETS, "port-forwarding"},
    {Access::AGENT, "agent-forwarding"},
    {Access::X11, "x11-forwarding"},
};

bool isOneOfMany(Access access) {
  return access == Access::CONNECT || access == Access::LISTEN || access == Access::SOCKETS;
}

}  // namespace

const char* toString(Access access) {
  switch (access) {
    case Access::COMMAND:
      return "run other commands";
    case Access::SHELL:
      return "open a shell";
    case Access::SUBSYSTEM:
      return "start the SFTP server";
    case Access::TERMINAL:
      return "open a terminal";
    case Access::CONNECT:
      return "forward connections";
    case Access::LISTEN:
      return "listen for connections";
    case Access::SOCKETS:
      return "connect to Unix sockets";
    case Access::AGENT:
      return "forward an SSH agent";
    case Access::X11:
      return "forward X11";
  }
  return "";
}

std::vector<Question> questionsOf(Access access) {
  if (access == Access::COMMAND) return commands();
  if (access == Access::SHELL) {
    auto question = sum();
    return {{"", question.command + "\nexit\n", question.answer}};
  }
  if (access == Access::SUBSYSTEM) return {{"", SFTP_INIT, SFTP_VERSION, false}};
  return {};
}

std::optional<Grant> judgeOutput(const Question& question, std::string_view output) {
  size_t agent = output.find(PREAMBLE);
  size_t answer = question.answer.empty() ? output.npos : output.find(question.answer);
  if (answer != output.npos && (answer < agent || question.lingers)) return Grant::GIVEN;
  return agent != output.npos ? std::optional(Grant::REFUSED) : std::nullopt;
}

Grant judgeDelay(const std::function<std::optional<Seconds>(const std::string& command)>& answers) {
  auto sleeping = absl::StrCat("sleep ", SLEEP.count());
  auto before = answers(sleeping);
  if (!before) return Grant::UNKNOWN;
  if (*before < SLEEP) return Grant::REFUSED;
  // The command slept, or the spoke is slow.
  auto awake = answers("sleep 0");
  if (!awake) return Grant::UNKNOWN;
  if (*before - *awake < SLEEP / 2) return Grant::REFUSED;
  // Ask again, since the spoke may have been slow only then.
  auto after = answers(sleeping);
  return after && *after >= SLEEP && *after - *awake >= SLEEP / 2 ? Grant::GIVEN : Grant::UNKNOWN;
}

std::vector<int> listeningPorts() { return {0, int(randomBetween(40'000, 60'000))}; }

std::optional<KeyOptions> keyOptionsIn(std::string_view text) {
  constexpr std::string_view SAYS = ": key options:";
  size_t at = text.rfind(SAYS);
  if (at == text.npos) return std::nullopt;
  auto line = text.substr(at + SAYS.size());
  line = line.substr(0, line.find_first_of("\r\n"));
  return KeyOptions(
      absl::StrSplit(absl::string_view(line.data(), line.size()), ' ', absl::SkipEmpty()));
}

Grant decideGrant(Access access, Grant tried, const std::optional<KeyOptions>& options) {
  if (tried == Grant::GIVEN || !options) return tried;
  for (auto& needed : NEEDED_OPTIONS) {
    if (needed.access != access) continue;
    if (!has(*options, needed.name)) return Grant::REFUSED;
    if (needed.places != nullptr && has(*options, needed.places)) return Grant::GIVEN;
  }
  return isOneOfMany(access) ? Grant::UNKNOWN : tried;
}

}  // namespace pibrain
