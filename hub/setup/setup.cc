#include "hub/setup/setup.h"

#include <absl/strings/str_cat.h>
#include <kj/async-io.h>

#include <algorithm>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/agent/agent-session.h"
#include "hub/agent/greeting.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure-status.h"
#include "hub/base/own-command.h"
#include "hub/base/user-files.h"
#include "hub/base/user.h"
#include "hub/connect/connector.h"
#include "hub/mirror/mirror.h"
#include "hub/setup/agents.h"
#include "hub/setup/config-edit.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

void orThrow(const absl::Status& status) {
  if (!status.ok()) throw failureOf(status, FailureId::CONFIG_NOT_EDITABLE);
}

namespace {

Failure localSource() {
  return Failure(FailureId::SPOKE_IS_LOCAL,
                 "its source is on this machine, so there is nothing to set up over SSH");
}

}  // namespace

void requireAgent(const SpokeConfig& spoke, const char* what) {
  if (isLocal(spoke) && spoke.method != SyncMethod::SYNCTHING) throw localSource();
  if (spoke.method == SyncMethod::AGENT) return;
  Failure failure(
      FailureId::NOT_AN_AGENT_SPOKE,
      absl::StrCat("its sync_method is ", toString(spoke.method), ", so it has no ", what));
  if (!isLocal(spoke)) {
    failure.addFix({"Switch the spoke to the agent",
                    ownCommand(absl::StrCat("spoke add ", escapeForTerminal(shellQuote(spoke.name)),
                                            " ", loginOf(spoke)))});
  }
  throw failure;
}

SyncKey currentKey(const SpokeConfig& spoke) {
  auto path = syncKeyPath(spoke);
  if (!path.empty()) return readSyncKey(path);
  throw Failure(FailureId::KEY_MISSING,
                absl::StrCat("neither its 'key' in the config nor the ssh configuration of ",
                             escapeForTerminal(spoke.source.host), " names a key that exists"));
}

Setup::Setup(std::string name, const ManageOptions& options, Store* store)
    : options_(options), store_(store) {
  change_.name = std::move(name);
  change_.started = wallClockNanos();
}

SpokeChange Setup::run(const std::function<void()>& work) {
  try {
    // Otherwise `remove --force` would take an invalid login for an unreachable spoke.
    auto via = options_.via.empty() ? absl::OkStatus() : parseLogin(options_.via).status();
    if (!via.ok()) throw failureOf(via, FailureId::USAGE);
    work();
  } catch (const Failure& e) {
    fail(e);
  } catch (const kj::Exception& e) {
    fail(Failure(FailureId::INTERNAL_ERROR, escapeForTerminal(messageOf(e))));
  }
  change_.finished = wallClockNanos();
  return change_;
}

void Setup::fail(Failure failure) {
  change_.outcome = "failed";
  change_.failure = std::move(failure);
}

void Setup::say(const std::string& text) {
  change_.said.push_back(text);
  options_.say(text);
}
void Setup::sayAll(RemoteInstall& remote) {
  for (auto& line : remote.drainMessages()) say(line);
}

SshTarget Setup::login(const SpokeConfig& spoke) {
  SshRequest request{spoke.source.host, spoke.source.user, spoke.sshConfig, "", spoke.port};
  if (!options_.via.empty()) {
    auto via = orThrow(parseLogin(options_.via));
    // Another host is another server, with its own port.
    if (via.host != request.host) request.port = 0;
    request.host = via.host;
    request.user = via.user;
  }
  if (request.host.empty()) throw localSource();
  auto target = orThrow(resolveSsh(request));
  change_.target = absl::StrCat(target.user, "@", target.alias);
  return target;
}

void Setup::prove(const SpokeConfig& spoke, bool root) {
  auto io = kj::setupAsyncIo();
  auto connector = connectorTo(spoke, nullptr);
  ConnectOptions connect;
  connect.passphrases = options_.passphrases;
  AgentSession session(spoke, *connector, connect, io,
                       {std::min(spoke.timeoutSeconds, 60u), 1 << 20});
  session.converse([&]() {
    auto agent = session.hello();
    checkVersion(spoke, agent);
    requireServes(spoke, agent, root);
    auto lockdown = session.lockdown();
    auto verdict = lockdown.verdict(placeOf(spoke));
    if (!lockdown.given.empty()) throw lockdown.failure(placeOf(spoke));
    change_.version = agent.version;
    say(absl::StrCat("agent: version ", escapeBriefly(agent.version),
                     ", sandbox: ", escapeBriefly(agent.sandbox)));
    say(verdict);
    if (store_ != nullptr) {
      (void)store_->setLastContact(spoke.name, {agent.version, agent.sandbox, wallClockNanos()});
    }
  });
}

void Setup::requireServes(const SpokeConfig& spoke, const AgentInfo& agent, bool root) {
  if (!agent.forced) {
    throw Failure(FailureId::KEY_NOT_LOCKED_DOWN,
                  "the key can run any command on " + placeOf(spoke),
                  "Another line for this key allows more, in its authorized_keys or another file "
                  "(AuthorizedKeysFile in sshd_config).",
                  {{"Remove the other line, and try again", ""}});
  }
  if (agent.rootState == proto::RootState::MISSING) {
    change_.rootMissing = true;
    auto home = homeDirectory() + "/";
    if (!isLocal(spoke) && spoke.source.path.starts_with(home)) {
      say(absl::StrCat("if the shell of this machine replaced '~' in --root, quote it: --root ",
                       escapeForTerminal(shellQuote(
                           spoke.source.path.substr(home.size() - 2).replace(0, 1, "~")))));
    }
  } else {
    checkRoot(spoke, agent);
  }
  auto mismatch = rootMismatch(spoke, agent);
  if (mismatch && root) {
    throw Failure(FailureId::KEY_NOT_LOCKED_DOWN, *mismatch,
                  "Another line for this key comes before the one that was added, perhaps in "
                  "another file (AuthorizedKeysFile in sshd_config).",
                  {{"Remove the other line, and try again", ""}});
  }
  if (mismatch) say(*mismatch);
}

void Setup::install(RemoteInstall& remote, const InstallRequest& request, const SpokeConfig& spoke,
                    const std::function<void()>& beforeKeeping) {
  auto installed = remote.install(request, orThrow(findAgents(options_.agents)));
  change_.architecture = installed.architecture;
  change_.agent = installed.agent;
  change_.line = installed.line;
  sayAll(remote);
  if (request.dryRun) return;
  std::optional<Failure> why;
  try {
    prove(spoke, !request.agentOnly);
    beforeKeeping();
  } catch (const Failure& e) {
    why = e;
  }
  // Not in the catch block, because it waits for the spoke.
  if (why) failAndRollBack(remote, request, *why);
  remote.commit();
  sayAll(remote);
}

void Setup::failAndRollBack(RemoteInstall& remote, const InstallRequest& request, Failure why) {
  // With these failures, the authorized_keys line may be the cause.
  bool ofTheLine =
      change_.line != "same" && !request.agentOnly &&
      (why.id() == FailureId::PERMISSION_DENIED || why.id() == FailureId::KEY_MISSING ||
       why.id() == FailureId::NOT_THE_AGENT || why.id() == FailureId::AGENT_MISSING ||
       why.id() == FailureId::KEY_NOT_LOCKED_DOWN);
  if (ofTheLine && !request.from.empty()) {
    // The likeliest cause, so it comes first.
    auto fixes = why.fixes();
    fixes.insert(fixes.begin(),
                 {"Check that --from includes this machine's address, as the spoke sees it", ""});
    why = Failure(why.id(), why.summary(), why.cause(), fixes);
  } else if (ofTheLine) {
    why.addFix({"On the spoke, check whether sshd reads keys from other files (AuthorizedKeysFile)",
                "sudo sshd -T | grep -i authorizedkeysfile"});
  }
  why.addCause(remote.rollBack()
                   ? "The changes on the spoke were undone."
                   : "The connection was lost during rollback, so the spoke may be half set up; "
                     "running the command again repairs it.");
  throw why;
}

std::string Setup::configText() const { return readWholeFile(options_.configFile).value_or(""); }
Config Setup::parse(const std::string& text) const {
  return orThrow(parseConfig(text, options_.configFile));
}

std::string Setup::editedOrThrow(const absl::StatusOr<std::string>& edited) const {
  return orThrow(edited.ok() ? edited : inFile(options_.configFile, edited.status()));
}

}  // namespace pibrain
