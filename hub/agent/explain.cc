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

// With what sshd ends in place of the command that it cannot start.
constexpr int SSHD_FAILED = 255;

// The last lines that say something, for a message: the first of a traceback says least.
std::string lastLines(const std::string& text) {
  std::string trimmed = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  return withoutFullStop(escapeForTerminal(tailOf(trimmed, 400)));
}

bool contains(const std::string& text, const char* word) { return absl::StrContains(text, word); }

// "ssh …", as a person runs `command` there by the key that a run uses.
std::string sshCommand(const SpokeConfig& spoke, const char* command) {
  return absl::StrCat(sshInvocation(sshRequestOf(spoke)), " ", command);
}

// Where it is: its alias need not resolve.
std::string hostOf(const SpokeConfig& spoke) {
  auto target = resolveSsh(sshRequestOf(spoke));
  return escapeForTerminal(target.ok() ? target->host : spoke.source.host);
}

// The account there: the ssh configuration may be what names it.
std::string userOf(const SpokeConfig& spoke) {
  auto target = resolveSsh(sshRequestOf(spoke));
  return target.ok() ? target->user : spoke.source.user;
}

// What the other side printed, as a sentence of the cause.
std::string itSaid(const std::string& said) {
  return said.empty() ? "" : absl::StrCat("It said: ", said, ".");
}

std::string sentences(std::initializer_list<std::string> all) {
  std::vector<std::string> some;
  for (auto& one : all) {
    if (!one.empty()) some.push_back(one);
  }
  return absl::StrJoin(some, " ");
}

constexpr char RESUME[] = "The mirror is intact; the next run continues from here.";
constexpr char FORCED_COMMAND[] =
    "Check the command=\"…\" of this key in ~/.ssh/authorized_keys on the spoke, and ForceCommand "
    "in its sshd_config, which overrides it";

Fix runThere(const SpokeConfig& spoke) {
  return {"See what the key runs on the spoke", sshCommand(spoke, "true")};
}

Failure lacksDescriptors(const std::string& what) {
  return Failure(FailureId::TOO_MANY_OPEN_FILES, what, RESUME,
                 {{"Let this program open more files; this shows how many", "ulimit -n"},
                  {"Or sync fewer spokes at a time", ownCommand("sync run --jobs 2")}});
}

// An error of the hub's own machine.
Failure explainErrno(int error, const std::string& what, const std::string& mirror) {
  auto path = escapeForTerminal(shellQuote(mirror));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return Failure(FailureId::DISK_FULL, what, RESUME, {makeRoom(mirror)});
    case EMFILE:
    case ENFILE:
      return lacksDescriptors(what);
    case EAGAIN:
      return Failure(
          FailureId::TOO_MANY_PROCESSES, what, RESUME,
          {{"Let this user run more processes and threads; this shows how many", "ulimit -u"}});
    case EIO:
      return Failure(FailureId::DISK_FAILING, what,
                     sentences({"The hub's disk, or what connects it, may be failing.", RESUME}),
                     {{"Look for errors of the disk", "sudo dmesg | tail"},
                      {"See which disk it is", "df " + path}});
    case EROFS:
      return Failure(FailureId::READ_ONLY_FILESYSTEM, what, RESUME,
                     {{"See what is mounted there, and how", "findmnt -T " + path}});
    default:
      return Failure(FailureId::HUB_FILE_ERROR, what, RESUME,
                     {{"Check the owner and mode of what is named there, and what it is", ""}});
  }
}

// The same for an exception; null: it is the peer's, or it is none of those. KJ does not tell the
// errno of its own: those that it calls an overload are for want of descriptors.
std::optional<Failure> explainLocal(const kj::Exception& error, const std::string& mirror) {
  auto what = escapeBriefly(messageOf(error), MAX_OWN_TEXT);
  if (auto number = errnoOf(error)) return explainErrno(*number, what, mirror);
  if (isLocalExhaustion(error)) return lacksDescriptors(what);
  return std::nullopt;
}

// What puts this hub's agent on the spoke, and has the key start it.
std::string installAgain(const SpokeConfig& spoke) {
  return ownCommand(
      absl::StrCat("spoke add ", escapeForTerminal(shellQuote(spoke.name)), " ", loginOf(spoke)));
}

Failure agentMissing(const SpokeConfig& spoke, const std::string& said) {
  auto what = absl::StrCat("pi-brain-agent is not installed on ", placeOf(spoke),
                           ", or is not where it was looked for");
  if (isLocal(spoke)) {
    return Failure(FailureId::AGENT_MISSING, what, itSaid(said),
                   {{"Put it on the PATH, or in the directory of pi-brain", ""}});
  }
  return Failure(FailureId::AGENT_MISSING, what, itSaid(said),
                 {{"Install it there, and have the key start it", installAgain(spoke)}});
}

Failure noisyShell(const SpokeConfig& spoke, const std::string& noise) {
  return Failure(
      FailureId::SHELL_NOISY,
      absl::StrCat(placeOf(spoke),
                   " sent more than 64 KB of something else before any answer of pi-brain-agent"),
      absl::StrCat("A noisy shell start-up file (~/.bashrc) sends that, or another program in the "
                   "forced command. It began with: ",
                   escapeForTerminal(headOf(noise, 200)), "."),
      {{"Make the start-up files quiet for shells without a terminal: this must print nothing",
        sshCommand(spoke, "true")}});
}

Failure restrictedShell(const SpokeConfig& spoke, const std::string& said) {
  auto user = escapeForTerminal(shellQuote(userOf(spoke)));
  return Failure(
      FailureId::SHELL_RESTRICTED,
      absl::StrCat("the login shell on ", placeOf(spoke), " does not start pi-brain-agent"),
      sentences({itSaid(said), "nologin and restricted shells (rbash) cannot start it."}),
      {{"See which shell it is, on the spoke", "getent passwd " + user},
       {"Set another one, on the spoke", "sudo chsh -s /bin/sh " + user}});
}

Failure agentNotExecutable(const SpokeConfig& spoke, const std::string& said) {
  Failure failure(FailureId::AGENT_NOT_EXECUTABLE,
                  absl::StrCat("pi-brain-agent on ", placeOf(spoke), " cannot be started"),
                  itSaid(said));
  if (isLocal(spoke)) return failure.addFix({"Make the file executable ('chmod 755')", ""});
  return failure
      .addFix({"Make the file executable ('chmod 755') that the command=\"…\" in "
               "~/.ssh/authorized_keys on the spoke names",
               ""})
      .addFix({"Or install it anew, and have the key start it", installAgain(spoke)});
}

Failure notTheAgent(const SpokeConfig& spoke, int status, const std::string& said) {
  auto ended = status < 0 ? "" : absl::StrCat("Its exit status was ", status, ".");
  bool sshdFailed = status == SSHD_FAILED && said.empty();
  Failure failure(
      FailureId::NOT_THE_AGENT,
      absl::StrCat("the command that ", placeOf(spoke),
                   " ran for this key is not a working pi-brain-agent"),
      sentences({itSaid(said), ended,
                 sshdFailed ? absl::StrCat("Either that command failed, or sshd ended it: ",
                                           WHY_CUT_AFTER_LOGIN, ".")
                            : ""}),
      {{FORCED_COMMAND, ""}, runThere(spoke)});
  if (isLocal(spoke)) return failure;
  return failure.addFix({"If it is the agent, and damaged, install it anew", installAgain(spoke)});
}

// The conversation broke before the agent's preamble: what `exitInfo` and the noise tell of why.
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

// The login worked, and nothing came for so many seconds but, perhaps, noise.
Failure explainNoStart(const SpokeConfig& spoke, uint32_t seconds, const std::string& noise) {
  return Failure(
      FailureId::AGENT_NOT_STARTED,
      absl::StrCat(
          "the login at ", placeOf(spoke), " worked, but pi-brain-agent did not start within ",
          seconds,
          seconds == spoke.timeoutSeconds ? " s (timeout_seconds)" : " s (ConnectTimeout)"),
      sentences({itSaid(lastLines(noise)),
                 "A start-up file of the login shell (~/.bashrc) may wait for something, or read "
                 "what is meant for the agent; or the forced command starts something else. "
                 "Nothing was changed."}),
      {{"See whether a command ends there; it must return at once",
        sshCommand(spoke, "true </dev/null")}});
}

Failure explainCut(const SpokeConfig& spoke, const ExitInfo& exitInfo) {
  return Failure(
      FailureId::CONNECTION_LOST,
      absl::StrCat("the connection to ", placeOf(spoke),
                   " was lost after the login, before pi-brain-agent began (",
                   withoutFullStop(exitInfo.cutOff), ")"),
      sentences({itSaid(lastLines(exitInfo.errors)),
                 "The machine may have gone down or lost its network. If it happens each time:",
                 absl::StrCat(WHY_CUT_AFTER_LOGIN, ".")}),
      {{"Run it again",
        ownCommand("sync run --spoke " + escapeForTerminal(shellQuote(spoke.name)))}});
}

Failure silent(const SpokeConfig& spoke, uint32_t idleSeconds) {
  auto limit = idleSeconds == spoke.timeoutSeconds ? " s (timeout_seconds)" : " s";
  std::vector<Fix> fixes;
  if (!isLocal(spoke)) {
    fixes.push_back({"See whether it answers", "ping -c 3 " + hostOf(spoke)});
  }
  return Failure(FailureId::CONNECTION_SILENT,
                 absl::StrCat(placeOf(spoke), " was silent for ", idleSeconds, limit),
                 sentences({"The machine may be asleep, or its network gone.", RESUME}), fixes);
}

// Something failed after the preamble.
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
        absl::StrCat(place, " sent next to nothing for ",
                     WatchPolicy{idleSeconds}.patienceSeconds(), " s, a few bytes a second"),
        sentences(
            {"The network may be failing, or the spoke may be stalling on purpose.", RESUME}));
  }
  if (isNoMessage(error)) {
    return Failure(FailureId::PROTOCOL_ERROR,
                   absl::StrCat("what ", place, " sent is not the protocol of pi-brain-agent"),
                   sentences({said, RESUME}), {{FORCED_COMMAND, ""}, runThere(spoke)});
  }
  if (exitInfo.flooded) {
    return Failure(
        FailureId::PROTOCOL_ERROR,
        absl::StrCat("the hub ended the connection to ", place, ": ", exitInfo.cutOff),
        sentences({"Its SSH server, or what stands in its place, may be in other hands.", RESUME}));
  }
  // What this side itself refused is no loss of the connection, though it ends with it.
  bool refusedHere = absl::StartsWith(error.getDescription().cStr(), "expected ");
  if (error.getType() == kj::Exception::Type::DISCONNECTED && !refusedHere) {
    auto how = exitInfo.cutOff.empty() ? escapeBriefly(what) : exitInfo.cutOff;
    return Failure(
        FailureId::CONNECTION_LOST,
        absl::StrCat("the connection to ", place, " was lost in the middle of the run (",
                     withoutFullStop(how), ")"),
        sentences({said,
                   "The machine may have gone to sleep or lost its network, or the agent was "
                   "stopped.",
                   RESUME}),
        {{"Run it again when the machine is back", ""}});
  }
  return Failure(
      FailureId::PROTOCOL_ERROR,
      absl::StrCat("the sync with ", place, " failed: ", withoutFullStop(escapeBriefly(what))),
      sentences({said, RESUME,
                 "If it happens again with agent and hub of one version, it is a bug worth "
                 "reporting."}));
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
  // What this machine lacks is no news of the spoke.
  if (auto local = explainLocal(error, spoke.path)) return *local;
  auto& exitInfo = heard.exitInfo;
  if (heard.agent) return explainBroken(spoke, error, exitInfo, idleSeconds);
  // Behind a login that worked, silence is not the network's.
  if (fellSilent(error) && !isLocal(spoke)) return explainNoStart(spoke, idleSeconds, heard.noise);
  bool noAnswer = fellSilent(error) || trickled(error);
  bool noisy = heard.noise.size() > MAX_SHELL_NOISE;
  bool cut = !noAnswer && !noisy && !exitInfo.flooded && !exitInfo.cutOff.empty();
  if (cut && !isLocal(spoke)) return explainCut(spoke, exitInfo);
  return noAnswer || (!exitInfo.cutOff.empty() && !noisy)
             ? explainBroken(spoke, error, exitInfo, idleSeconds)
             : explainNoAgent(spoke, heard.noise, exitInfo);
}

}  // namespace pibrain
