#include "hub/agent/explain.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/text/utf8.h"
#include "common/wire/message-guard.h"
#include "common/wire/protocol.h"
#include "hub/agent/watchdog.h"
#include "hub/base/failure.h"
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

// "'ssh …'", as a person runs `command` there by the key that a run uses.
std::string sshCommand(const SpokeConfig& spoke, const char* command) {
  return absl::StrCat("'", sshInvocation(sshRequestOf(spoke)), " ", command, "'");
}

// The account there: the ssh configuration may be what names it.
std::string userOf(const SpokeConfig& spoke) {
  auto target = resolveSsh(sshRequestOf(spoke));
  return target.ok() ? target->user : spoke.source.user;
}

std::string saidSuffix(const std::string& said) {
  return said.empty() ? "" : absl::StrCat(" It said: ", said, ".");
}

constexpr char MORE_FILES[] =
    " Let this program open more files ('ulimit -n' shows how many), or sync fewer spokes at a "
    "time (--jobs).";

// What a person does about an error of the hub's own machine; empty, or with a space in front.
std::string remedyFor(int error, const std::string& mirror) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::StrCat(" ", howToMakeRoom(escapeForTerminal(mirror)), ".");
    case EMFILE:
    case ENFILE:
      return MORE_FILES;
    case EAGAIN:
      return " Let this user run more processes and threads: 'ulimit -u' shows how many there may "
             "be.";
    case EIO:
      return absl::StrCat(" The hub's disk, or what connects it, may be failing: look for it in ",
                          "'dmesg', and at 'df ", escapeForTerminal(mirror), "'.");
    case EROFS:
      return absl::StrCat(" What is mounted there cannot be written: 'findmnt -T ",
                          escapeForTerminal(mirror), "' shows it and how.");
    default:
      return "";
  }
}

// The same for an exception, unless it is of the peer's making. KJ does not tell the errno of its
// own: those that it calls an overload are for want of descriptors.
std::string remedyFor(const kj::Exception& error, const std::string& mirror) {
  if (auto number = errnoOf(error)) return remedyFor(*number, mirror);
  return isLocalExhaustion(error) ? MORE_FILES : "";
}

std::string addCommand(const SpokeConfig& spoke) {
  return absl::StrCat("'pi-brain spoke add ", shellQuote(spoke.name), " ",
                      spoke.source.user.empty() ? "" : escapeForTerminal(spoke.source.user) + "@",
                      escapeForTerminal(spoke.source.host), "'");
}

// The conversation broke before the agent's preamble: what `exitInfo` and the noise tell of why.
std::string explainNoAgent(const SpokeConfig& spoke, const std::string& noise,
                           const ExitInfo& exitInfo) {
  auto place = placeOf(spoke);
  auto said = lastLines(exitInfo.errors.empty() ? noise : exitInfo.errors);
  int status = exitInfo.exitStatus.value_or(-1);
  bool missing = status == 127 || contains(exitInfo.errors, "not found") ||
                 contains(exitInfo.errors, "No such file");
  if (noise.size() > MAX_SHELL_NOISE) {
    return absl::StrCat(
        place,
        " sent more than 64 KB of something else before any answer of pi-brain-agent: a "
        "noisy shell start-up file (~/.bashrc), or another program in the forced command. It "
        "began with: ",
        escapeForTerminal(headOf(noise, 200)),
        ". Make the start-up files quiet "
        "for shells without a terminal, and check with ",
        sshCommand(spoke, "true"), ", which should print nothing.");
  }
  if (contains(exitInfo.errors, "restricted") || contains(said, "account is currently not")) {
    auto user = escapeForTerminal(shellQuote(userOf(spoke)));
    return absl::StrCat(
        "the login shell on ", place, " does not start pi-brain-agent.", saidSuffix(said),
        " nologin and restricted shells (rbash) cannot run it. On the spoke, 'getent passwd ", user,
        "' shows the shell, and 'sudo chsh -s /bin/sh ", user, "' sets another.");
  }
  if (missing) {
    return absl::StrCat(
        "pi-brain-agent is not installed on ", place, ", or not where it was looked for.",
        saidSuffix(said),
        isLocal(spoke)
            ? std::string(" Put it on the PATH, or beside pi-brain.")
            : absl::StrCat(
                  " ", addCommand(spoke),
                  " puts it there, and its full path into the command=\"…\" of the spoke's "
                  "~/.ssh/authorized_keys. ('pi-brain-agent --authorized-keys-line KEY.pub', "
                  "run on the spoke, prints that line.)"));
  }
  if (status == 126 || contains(exitInfo.errors, "ermission denied")) {
    return absl::StrCat("pi-brain-agent on ", place, " cannot be started.", saidSuffix(said),
                        " Make it executable: 'chmod 755' on the file that the command=\"…\" in "
                        "the spoke's ~/.ssh/authorized_keys names.");
  }
  return absl::StrCat(
      "the command that ", place, " ran for this key is not a working pi-brain-agent",
      status >= 0 ? absl::StrCat(" (exit status ", status, ")") : "", ".", saidSuffix(said),
      " Look at the command=\"…\" of this key in the spoke's ~/.ssh/authorized_keys, and at "
      "ForceCommand in its sshd_config, which takes its place; and try ",
      sshCommand(spoke, "true"), ", which runs it.",
      status == SSHD_FAILED && said.empty()
          ? absl::StrCat(" Or sshd ended it: ", WHY_CUT_AFTER_LOGIN, ".")
          : "");
}

// The login worked, and nothing came for so many seconds but, perhaps, noise.
std::string explainNoStart(const SpokeConfig& spoke, uint32_t seconds, const std::string& noise) {
  auto host = escapeForTerminal(spoke.source.host);
  auto said = lastLines(noise);
  return absl::StrCat(
      "the login at ", host, " worked, but pi-brain-agent did not start there within ", seconds,
      seconds == spoke.timeoutSeconds ? " s (timeout_seconds)." : " s.", saidSuffix(said),
      " The login shell's start-up files (~/.bashrc) may wait for something, or read what is meant "
      "for the agent; or the command=\"…\" in ~/.ssh/authorized_keys starts something else, or "
      "ForceCommand in sshd_config does. ",
      sshCommand(spoke, "true </dev/null"), " should end at once. Nothing was changed here.");
}

std::string explainCut(const SpokeConfig& spoke, const ExitInfo& exitInfo) {
  return absl::StrCat("the connection to ", placeOf(spoke),
                      " was lost after the login, before pi-brain-agent began (",
                      withoutFullStop(exitInfo.cutOff), ").",
                      saidSuffix(lastLines(exitInfo.errors)),
                      " The machine may have gone down or lost its network: run it again. If it "
                      "happens each time: ",
                      WHY_CUT_AFTER_LOGIN, ".");
}

// Something failed after the preamble.
std::string explainBroken(const SpokeConfig& spoke, const kj::Exception& error,
                          const ExitInfo& exitInfo, uint32_t idleSeconds) {
  auto place = placeOf(spoke);
  auto what = messageOf(error);
  auto said = lastLines(exitInfo.errors);
  constexpr char RESUME[] =
      " The mirror is intact, and the next run goes on from where this one stopped.";
  auto remedy = remedyFor(error, spoke.path);
  if (isLocalExhaustion(error) || !remedy.empty()) {
    return absl::StrCat(escapeBriefly(what, MAX_OWN_TEXT), ".", remedy, RESUME);
  }
  if (fellSilent(error)) {
    return absl::StrCat("nothing was heard from ", place, " for ", idleSeconds, " s",
                        idleSeconds == spoke.timeoutSeconds ? " (timeout_seconds)" : "",
                        ". The machine may be asleep, or the network gone; 'ping' it.", RESUME);
  }
  if (trickled(error)) {
    return absl::StrCat("next to nothing was heard from ", place, " for ",
                        WatchPolicy{idleSeconds}.patienceSeconds(),
                        " s, a few bytes a second. Its network may be broken, or somebody keeps "
                        "the hub busy.",
                        RESUME);
  }
  if (isNoMessage(error)) {
    return absl::StrCat("what ", place, " sent is not the protocol of pi-brain-agent.",
                        saidSuffix(said), " Look at the command=\"…\" of this key in its ",
                        "~/.ssh/authorized_keys, and try ", sshCommand(spoke, "true"),
                        ", which runs it.", RESUME);
  }
  if (exitInfo.flooded) {
    return absl::StrCat("the connection to ", place, " was ended by the hub: ", exitInfo.cutOff,
                        ". Its SSH server, or what stands in its place, may be in other hands.",
                        RESUME);
  }
  // What this side itself refused is no loss of the connection, though it ends with it.
  bool refusedHere = absl::StartsWith(error.getDescription().cStr(), "expected ");
  if (error.getType() == kj::Exception::Type::DISCONNECTED && !refusedHere) {
    auto how = exitInfo.cutOff.empty() ? escapeBriefly(what) : exitInfo.cutOff;
    return absl::StrCat("the connection to ", place, " was lost in the middle of the run (", how,
                        ").", saidSuffix(said),
                        " The machine may have gone to sleep or lost its "
                        "network, or the agent was stopped; run it again when it is back.",
                        RESUME);
  }
  return absl::StrCat("the sync with ", place, " failed: ", escapeBriefly(what), ".",
                      saidSuffix(said), RESUME,
                      " If it happens again with agent and hub of one "
                      "version, it is a bug worth reporting.");
}

}  // namespace

bool isLocalExhaustion(const kj::Exception& error) {
  return error.getType() == kj::Exception::Type::OVERLOADED && !isRemoteException(error);
}

std::string explainOutside(const SpokeConfig& spoke, const kj::Exception& error) {
  return explainBroken(spoke, error, ExitInfo(), spoke.timeoutSeconds);
}

std::string explainConversation(const SpokeConfig& spoke, const kj::Exception& error,
                                const Heard& heard, uint32_t idleSeconds) {
  // What this machine lacks is no news of the spoke.
  bool lacking = isLocalExhaustion(error) || !remedyFor(error, spoke.path).empty();
  if (heard.agent || lacking) return explainBroken(spoke, error, heard.exitInfo, idleSeconds);
  // Behind a login that worked, silence is not the network's.
  if (fellSilent(error) && !isLocal(spoke)) {
    return explainNoStart(spoke, idleSeconds, heard.noise);
  }
  auto& exitInfo = heard.exitInfo;
  bool silent = fellSilent(error) || trickled(error);
  bool noisy = heard.noise.size() > MAX_SHELL_NOISE;
  bool cut = !silent && !noisy && !exitInfo.flooded && !exitInfo.cutOff.empty();
  if (cut && !isLocal(spoke)) return explainCut(spoke, exitInfo);
  return silent || (!exitInfo.cutOff.empty() && !noisy)
             ? explainBroken(spoke, error, exitInfo, idleSeconds)
             : explainNoAgent(spoke, heard.noise, exitInfo);
}

}  // namespace pibrain
