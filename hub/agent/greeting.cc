#include "hub/agent/greeting.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <stdlib.h>

#include <filesystem>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "common/text/tilde.h"
#include "common/text/utf8.h"
#include "common/wire/protocol.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"

namespace pibrain {

namespace {

// Returns the directory that 'source' names, absolute and without "//", "." and "..".
std::string askedRoot(const SpokeConfig& spoke, const AgentInfo& agent) {
  auto asked = expandTilde(spoke.source.path, agent.home);
  // A relative path starts in the home directory, as for scp and rsync.
  if (!asked.starts_with('/')) asked = agent.home + "/" + asked;
  asked = std::filesystem::path(asked).lexically_normal().string();
  while (asked.size() > 1 && asked.ends_with('/')) asked.pop_back();
  return asked;
}

// Returns whether the agent is too old for roots in the form "bytes:…".
bool readsNoExactPath(const AgentInfo& agent) {
  return absl::StrContains(agent.root, "/" + std::string(EXACT_PATH));
}

// Returns the same fix as an alternative.
Fix orElse(Fix fix) {
  fix.text = "Otherwise, c" + fix.text.substr(1);
  return fix;
}

Fix upgradeAgent(const SpokeConfig& spoke) {
  return {"Upgrade the agent",
          ownCommand("spoke upgrade " + escapeForTerminal(shellQuote(spoke.name)))};
}

std::string spanOf(uint64_t seconds) {
  if (seconds < 2 * 60) return absl::StrCat(seconds, " s");
  if (seconds < 2 * 3600) return absl::StrCat(seconds / 60, " min");
  if (seconds < 2 * 86400) return absl::StrCat(seconds / 3600, " h");
  return absl::StrCat(seconds / 86400, " days");
}

}  // namespace

void checkVersion(const SpokeConfig& spoke, const AgentInfo& agent) {
  auto versions =
      absl::StrCat("The agent on ", placeOf(spoke), " is version ", escapeBriefly(agent.version),
                   " (protocol ", agent.protocol, "), and this hub is version ", PIBRAIN_VERSION,
                   " (protocol ", PROTOCOL, ").");
  if (agent.protocol < OLDEST_PROTOCOL) {
    throw Failure(FailureId::AGENT_TOO_OLD, "the agent is too old for this hub", versions,
                  {upgradeAgent(spoke)});
  }
  if (agent.oldestProtocol > PROTOCOL) {
    auto back = upgradeAgent(spoke);
    back.text = "Otherwise, install the agent of this hub's version";
    throw Failure(FailureId::AGENT_TOO_NEW, "the agent is too new for this hub", versions,
                  {{"Upgrade the hub to the agent's version", ""}, back});
  }
}

void checkRoot(const SpokeConfig& spoke, const AgentInfo& agent) {
  auto place = placeOf(spoke);
  auto root = escapeBriefly(agent.root);
  // Where to correct the path, if it is wrong.
  Fix correct{isLocal(spoke) ? "Correct 'source' in the config"
              : rootMismatch(spoke, agent)
                  ? "Correct --root in the command=\"…\" in ~/.ssh/authorized_keys on the spoke, "
                    "which overrides 'source'"
                  : "Correct 'source' in the config, or --root in the command=\"…\" in "
                    "~/.ssh/authorized_keys on the spoke",
              ""};
  switch (agent.rootState) {
    case proto::RootState::SERVED:
      return;
    case proto::RootState::MISSING:
      if (readsNoExactPath(agent)) {
        throw Failure(FailureId::AGENT_TOO_OLD,
                      absl::StrCat("the agent on ", place, " is too old to serve this directory"),
                      "It does not understand --root=bytes:….", {upgradeAgent(spoke)});
      }
      throw Failure(FailureId::ROOT_MISSING,
                    absl::StrCat("the directory ", root, " does not exist on ", place),
                    "pi creates it when it first runs. Nothing was deleted on the hub.",
                    {{"If pi has not run on the spoke yet, run it once", ""}, orElse(correct)});
    case proto::RootState::NOT_A_DIRECTORY:
      throw Failure(FailureId::ROOT_NOT_A_DIRECTORY,
                    absl::StrCat(root, " on ", place, " is not a directory"), "", {correct});
    default:
      throw Failure(FailureId::ROOT_UNREADABLE,
                    absl::StrCat("the agent on ", place, " cannot read ", root), "",
                    {{"On the spoke, check its owner and mode",
                      "ls -ld " + escapeForTerminal(shellQuote(agent.root))}});
  }
}

std::optional<std::string> rootMismatch(const SpokeConfig& spoke, const AgentInfo& agent) {
  auto asked = askedRoot(spoke, agent);
  if (asked == std::filesystem::path(agent.root).lexically_normal().string()) {
    return std::nullopt;
  }
  return absl::StrCat(
      "the spoke serves ", escapeBriefly(agent.root), ", not ", escapeForTerminal(asked),
      " as 'source' says, because the command=\"…\" in its authorized_keys overrides 'source'");
}

std::optional<std::string> clockSkew(const SpokeConfig& spoke, const AgentInfo& agent) {
  // The agent may send any time.
  int64_t ahead = clockDifference(agent) / 1'000'000'000;
  uint64_t apart = uint64_t(std::llabs(ahead));
  if (apart <= 60) return std::nullopt;
  return absl::StrCat("the clock of ", placeOf(spoke), " is ", spanOf(apart),
                      ahead < 0 ? " behind" : " ahead of", " this machine's");
}

void validateHello(const SpokeConfig& spoke, const AgentInfo& agent, const std::string& noise,
                   std::vector<std::string>& warnings) {
  if (!noise.empty()) {
    warnings.push_back(absl::StrCat(
        "the spoke's shell printed ", noise.size(),
        " bytes before the agent's answer, beginning with '", escapeForTerminal(headOf(noise, 60)),
        "'; its start-up files (~/.bashrc) should print nothing without a terminal"));
  }
  checkVersion(spoke, agent);
  checkRoot(spoke, agent);
  for (auto& odd : {rootMismatch(spoke, agent), clockSkew(spoke, agent)}) {
    if (odd) warnings.push_back(*odd);
  }
}

int64_t clockDifference(const AgentInfo& agent) {
  int64_t apart = 0;
  if (!__builtin_sub_overflow(agent.clock, wallClockNanos(), &apart)) return apart;
  return agent.clock < 0 ? INT64_MIN : INT64_MAX;
}

}  // namespace pibrain
