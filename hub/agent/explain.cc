#include "hub/agent/explain.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <initializer_list>
#include <optional>
#include <vector>

#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/text/utf8.h"
#include "common/wire/message-guard.h"
#include "common/wire/protocol.h"
#include "hub/agent/watchdog.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/resolve.h"
#include "hub/ssh/target.h"

namespace pibrain {

namespace {

// The exit status of sshd when it cannot start the command.
constexpr int SSHD_FAILED = 255;

// Returns the last lines for a message, since the first ones of a traceback say little.
std::string lastLines(const std::string& text) {
  std::string trimmed = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  return withoutFullStop(escapeForTerminal(tailOf(trimmed, 400)));
}

bool contains(const std::string& text, const char* word) { return absl::StrContains(text, word); }

// Returns "ssh … COMMAND" for a person to run with the key of a run.
std::string sshCommand(const SpokeConfig& spoke, const char* command) {
  return absl::StrCat(sshInvocation(sshRequestOf(spoke)), " ", command);
}

// Returns the host name from the ssh configuration, since the alias itself may not resolve.
std::string hostOf(const SpokeConfig& spoke) {
  auto target = resolveSsh(sshRequestOf(spoke));
  return escapeForTerminal(target.ok() ? target->host : spoke.source.host);
}

// Returns the spoke's user, whom the ssh configuration may name.
std::string userOf(const SpokeConfig& spoke) {
  auto target = resolveSsh(sshRequestOf(spoke));
  return target.ok() ? target->user : spoke.source.user;
}

// Returns what the spoke printed, as the last sentence of a cause.
std::string itSaid(const std::string& said) {
  return said.empty() ? "" : absl::StrCat("The spoke said: ", said, ".");
}

std::string sentences(std::initializer_list<std::string> all) {
  std::vector<std::string> some;
  for (auto& one : all) {
    if (!one.empty()) some.push_back(one);
  }
  return absl::StrJoin(some, " ");
}

constexpr char RESUME[] = "The mirror is intact; the next run continues from here.";
constexpr char WHY_FAILING[] = "The hub's disk or its connection may be failing.";
constexpr char FORCED_COMMAND[] =
    "Check the command=\"…\" of this key in ~/.ssh/authorized_keys on the spoke, and ForceCommand "
    "in its sshd_config, which overrides it";

Fix runThere(const SpokeConfig& spoke) {
  return {"Check what the key runs on the spoke", sshCommand(spoke, "true")};
}

// Explains an error on the hub itself.
Failure explainErrno(int error, const std::string& what, const std::string& mirror) {
  auto remedy = remedyFor(error, mirror);
  if (!remedy) {
    return Failure(FailureId::HUB_FILE_ERROR, what, RESUME,
                   {{"Check the owner, mode and type of that file or directory", ""}});
  }
  bool failing = remedy->id == FailureId::DISK_FAILING;
  Failure failure(remedy->id, what, sentences({failing ? WHY_FAILING : "", RESUME}), {remedy->fix});
  if (failing) {
    failure.addFix({"Check which disk it is", "df " + escapeForTerminal(shellQuote(mirror))});
  }
  if (remedy->id == FailureId::TOO_MANY_OPEN_FILES) {
    failure.addFix({"Otherwise, sync fewer spokes at a time", ownCommand("sync run --jobs 2")});
  }
  return failure;
}

// The same for an exception; nullopt: it came from the peer, or has another cause. KJ does not tell
// the errno of its exceptions; OVERLOADED means that there are no free descriptors.
std::optional<Failure> explainLocal(const kj::Exception& error, const std::string& mirror) {
  auto what = escapeBriefly(messageOf(error), MAX_OWN_TEXT);
  if (auto number = errnoOf(error)) return explainErrno(*number, what, mirror);
  if (isLocalExhaustion(error)) return explainErrno(EMFILE, what, mirror);
  return std::nullopt;
}

// Returns the command that installs this hub's agent on the spoke and makes the key start it.
std::string installAgain(const SpokeConfig& spoke) {
  return ownCommand(
      absl::StrCat("spoke add ", escapeForTerminal(shellQuote(spoke.name)), " ", loginOf(spoke)));
}

Failure agentMissing(const SpokeConfig& spoke, const std::string& said) {
  auto what = absl::StrCat("pi-brain-agent is not installed on ", placeOf(spoke),
                           ", or is not on the PATH of the login");
  if (isLocal(spoke)) {
    return Failure(FailureId::AGENT_MISSING, what, itSaid(said),
                   {{"Put pi-brain-agent on the PATH, or into the directory of pi-brain", ""}});
  }
  // The forced command has the agent's path.
  bool forced = contains(said, "/pi-brain-agent");
  return Failure(
      FailureId::AGENT_MISSING, what,
      sentences({itSaid(said), forced
                                   ? ""
                                   : "The key's line in ~/.ssh/authorized_keys on the spoke may "
                                     "have no command=\"…\", so that the key can run anything."}),
      {{"Install pi-brain-agent on the spoke, and make the key start it", installAgain(spoke)}});
}

Failure noisyShell(const SpokeConfig& spoke, const std::string& noise) {
  return Failure(
      FailureId::SHELL_NOISY,
      absl::StrCat(placeOf(spoke),
                   " sent more than 64 KB of other output before the agent's answer"),
      absl::StrCat("A shell start-up file (~/.bashrc) or another program in the forced command "
                   "prints it. The output begins with: ",
                   escapeForTerminal(headOf(noise, 200)), "."),
      {{"Make the start-up files quiet for shells without a terminal; then this prints nothing",
        sshCommand(spoke, "true")}});
}

Failure restrictedShell(const SpokeConfig& spoke, const std::string& said) {
  auto user = escapeForTerminal(shellQuote(userOf(spoke)));
  return Failure(
      FailureId::SHELL_RESTRICTED,
      absl::StrCat("the login shell on ", placeOf(spoke), " does not start pi-brain-agent"),
      sentences({"Shells such as nologin and rbash cannot start the agent.", itSaid(said)}),
      {{"On the spoke, check which shell it is", "getent passwd " + user},
       {"On the spoke, set another shell", "sudo chsh -s /bin/sh " + user}});
}

Failure agentNotExecutable(const SpokeConfig& spoke, const std::string& said) {
  Failure failure(FailureId::AGENT_NOT_EXECUTABLE,
                  absl::StrCat("pi-brain-agent on ", placeOf(spoke), " cannot be started"),
                  itSaid(said));
  if (isLocal(spoke)) return failure.addFix({"Make the file executable ('chmod 755')", ""});
  return failure
      .addFix({"Make the program in the command=\"…\" in ~/.ssh/authorized_keys on the spoke "
               "executable ('chmod 755')",
               ""})
      .addFix({"Otherwise, install it again, and make the key start it", installAgain(spoke)});
}

Failure notTheAgent(const SpokeConfig& spoke, int status, const std::string& said) {
  auto ended = status < 0 ? "" : absl::StrCat("Its exit status was ", status, ".");
  bool sshdFailed = status == SSHD_FAILED && said.empty();
  Failure failure(
      FailureId::NOT_THE_AGENT,
      absl::StrCat("the command that the key runs on ", placeOf(spoke),
                   " is not a working pi-brain-agent"),
      sentences({ended,
                 sshdFailed ? absl::StrCat("Either the command failed, or sshd ended it: ",
                                           WHY_CUT_AFTER_LOGIN, ".")
                            : "",
                 itSaid(said)}),
      {{FORCED_COMMAND, ""}, runThere(spoke)});
  if (isLocal(spoke)) return failure;
  return failure.addFix({"If it is a damaged agent, install it again", installAgain(spoke)});
}

// Explains a conversation that broke before the agent's preamble, by `exitInfo` and the noise.
Failure explainNoAgent(const SpokeConfig& spoke, const std::string& noise,
                       const ExitInfo& exitInfo) {
  auto said = lastLines(exitInfo.errors.empty() ? noise : exitInfo.errors);
  int status = exitInfo.exitStatus.value_or(-1);
  auto says = [&](const char* words) { return contains(exitInfo.errors, words); };
  if (noise.size() > MAX_SHELL_NOISE) return noisyShell(spoke, noise);
  if (says("restricted") || contains(said, "account is currently not")) {
    return restrictedShell(spoke, said);
  }
  if (status == SSHD_FAILED && saysCommandRefused(exitInfo.errors)) {
    return commandRefused(placeOf(spoke), said);
  }
  bool missing = status == 127 || says("not found") || says("No such file");
  if (missing) return agentMissing(spoke, said);
  if (status == 126 || says("ermission denied")) return agentNotExecutable(spoke, said);
  return notTheAgent(spoke, status, said);
}

// Explains a login that worked but brought nothing but noise for so many seconds.
Failure explainNoStart(const SpokeConfig& spoke, uint32_t seconds, const std::string& noise) {
  return Failure(
      FailureId::AGENT_NOT_STARTED,
      absl::StrCat(
          "the login at ", placeOf(spoke), " worked, but pi-brain-agent did not start within ",
          seconds,
          seconds == spoke.timeoutSeconds ? " s (timeout_seconds)" : " s (ConnectTimeout)"),
      sentences(
          {"A start-up file of the login shell (~/.bashrc) may wait for something, or read the "
           "agent's input; or the forced command may start another program. Nothing was changed.",
           itSaid(lastLines(noise))}),
      {{"Check that a command on the spoke ends; this must return at once",
        sshCommand(spoke, "true </dev/null")}});
}

Failure explainCut(const SpokeConfig& spoke, const ExitInfo& exitInfo) {
  return Failure(
      FailureId::CONNECTION_LOST,
      absl::StrCat("the connection to ", placeOf(spoke),
                   " was lost after the login, before pi-brain-agent started (",
                   withoutFullStop(exitInfo.cutOff.value_or("")), ")"),
      sentences({"The machine may have gone down or lost its network. If it happens each time:",
                 absl::StrCat(WHY_CUT_AFTER_LOGIN, "."), itSaid(lastLines(exitInfo.errors))}),
      {{"Run the sync again",
        ownCommand("sync run --spoke " + escapeForTerminal(shellQuote(spoke.name)))}});
}

Failure silent(const SpokeConfig& spoke, uint32_t idleSeconds) {
  auto limit = idleSeconds == spoke.timeoutSeconds ? " s (timeout_seconds)" : " s";
  std::vector<Fix> fixes;
  if (!isLocal(spoke)) {
    fixes.push_back({"Check whether the spoke answers", "ping -c 3 " + hostOf(spoke)});
  }
  return Failure(FailureId::CONNECTION_SILENT,
                 absl::StrCat(placeOf(spoke), " was silent for ", idleSeconds, limit),
                 sentences({"The machine may be asleep, or its network may be down.", RESUME}),
                 fixes);
}

// Explains a failure after the preamble.
Failure explainBroken(const SpokeConfig& spoke, const kj::Exception& error,
                      const ExitInfo& exitInfo, uint32_t idleSeconds) {
  auto place = placeOf(spoke);
  auto what = messageOf(error);
  auto said = itSaid(lastLines(exitInfo.errors));
  if (auto local = explainLocal(error, spoke.path)) return *local;
  if (fellSilent(error)) return silent(spoke, idleSeconds);
  if (trickled(error)) {
    return Failure(
        FailureId::CONNECTION_SLOW,
        absl::StrCat(place, " sent almost nothing for ", WatchPolicy{idleSeconds}.patienceSeconds(),
                     " s, only a few bytes a second"),
        sentences(
            {"The network may be failing, or the spoke may be stalling on purpose.", RESUME}));
  }
  if (isNoMessage(error)) {
    return Failure(FailureId::PROTOCOL_ERROR,
                   absl::StrCat("what ", place, " sent is not the protocol of pi-brain-agent"),
                   sentences({RESUME, said}), {{FORCED_COMMAND, ""}, runThere(spoke)});
  }
  if (exitInfo.flooded) {
    return Failure(
        FailureId::PROTOCOL_ERROR,
        absl::StrCat("the hub ended the connection to ", place, ": ",
                     exitInfo.cutOff.value_or("it sent data without end")),
        sentences(
            {"Its SSH server may be compromised, or another machine may pretend to be the spoke.",
             RESUME}));
  }
  // If the hub itself rejected a message, the connection was not lost, although it ends.
  if (error.getType() == kj::Exception::Type::DISCONNECTED && !isFailedRequirement(error)) {
    auto how = exitInfo.cutOff.value_or(escapeBriefly(what));
    return Failure(
        FailureId::CONNECTION_LOST,
        absl::StrCat("the connection to ", place, " was lost in the middle of the run (",
                     withoutFullStop(how), ")"),
        sentences({"The machine may have gone to sleep or lost its network, or the agent was "
                   "stopped.",
                   RESUME, said}),
        {{"Run the sync again when the machine is back", ""}});
  }
  return Failure(
      FailureId::PROTOCOL_ERROR,
      absl::StrCat("the sync with ", place, " failed: ", withoutFullStop(escapeBriefly(what))),
      sentences({RESUME,
                 "If it happens again although agent and hub have the same version, please report "
                 "it as a bug.",
                 said}));
}

}  // namespace

bool isLocalExhaustion(const kj::Exception& error) {
  return error.getType() == kj::Exception::Type::OVERLOADED && !isRemoteException(error);
}

Failure explainOutside(const SpokeConfig& spoke, const kj::Exception& error) {
  return explainBroken(spoke, error, ExitInfo(), spoke.timeoutSeconds);
}

Failure explainConversation(const SpokeConfig& spoke, const kj::Exception& error,
                            const Heard& heard, uint32_t idleSeconds) {
  // A lack of resources on the hub says nothing about the spoke.
  if (auto local = explainLocal(error, spoke.path)) return *local;
  auto& exitInfo = heard.exitInfo;
  if (heard.agent) return explainBroken(spoke, error, exitInfo, idleSeconds);
  // After a login that worked, silence is not the network's fault.
  if (fellSilent(error) && !isLocal(spoke)) return explainNoStart(spoke, idleSeconds, heard.noise);
  bool noAnswer = fellSilent(error) || trickled(error);
  bool noisy = heard.noise.size() > MAX_SHELL_NOISE;
  bool cut = !noAnswer && !noisy && !exitInfo.flooded && exitInfo.cutOff;
  if (cut && !isLocal(spoke)) return explainCut(spoke, exitInfo);
  return noAnswer || (exitInfo.cutOff && !noisy)
             ? explainBroken(spoke, error, exitInfo, idleSeconds)
             : explainNoAgent(spoke, heard.noise, exitInfo);
}

}  // namespace pibrain
