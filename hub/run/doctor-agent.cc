// The doctor's checks of a spoke with an agent.

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <kj/async-io.h>

#include <cmath>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"
#include "hub/agent/agent-session.h"
#include "hub/agent/greeting.h"
#include "hub/agent/left-out.h"
#include "hub/agent/plan.h"
#include "hub/agent/unreadable.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/reason.h"
#include "hub/connect/connector.h"
#include "hub/mirror/deletion.h"
#include "hub/mirror/open-mirror.h"
#include "hub/mirror/readable.h"
#include "hub/run/doctor-parts.h"
#include "hub/run/login-steps.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/target.h"

namespace pibrain {

namespace {

class AgentExamination {
 public:
  AgentExamination(const Config& config, const SpokeConfig& spoke,
                   const std::shared_ptr<Passphrases>& passphrases, Store* store, Checklist& checks)
      : config_(config),
        spoke_(spoke),
        passphrases_(passphrases),
        store_(store),
        checks_(checks),
        steps_(checks) {}

  void examine() {
    auto io = kj::setupAsyncIo();
    auto tree = readMirror();
    checkModes(tree);
    checkFilters();
    checks_.at(isLocal(spoke_) ? "agent" : "ssh");
    LeftOut leftOut(spoke_, store_);
    auto known = summarizeMirror(tree, keptAnd(leftOut.inMirror(tree)), mirrorDigests_);
    leftOut.addTo(known);
    steps_.restart();
    auto connector = connectorTo(spoke_, nullptr);
    AgentSession session(spoke_, *connector, steps_.options(passphrases_), io,
                         AgentSession::limitsOf(spoke_, config_.hub));
    session.converse([&]() {
      auto listing =
          session.scan(known, [&](const AgentInfo& agent) { checkAgent(agent, session.noise()); });
      checkFiles(session, listing, tree);
      if (listing.symlinksSkipped + listing.specialsSkipped > 0) {
        checks_.at("skipped");
        checkSkipped(session.scanAgain(known));
      }
      steps_.checkSpeed();
      if (!isLocal(spoke_)) {
        checks_.at("key");
        checkLockdown(session);
      }
    });
  }

 private:
  // Returns an empty tree if the mirror cannot be read, which examineMirror() reports.
  Tree readMirror() {
    try {
      auto mirror = openMirror(config_, spoke_, store_, Mirror::Access::READ, wallClockNanos());
      mirrorDigests_ = mirror.digestOptions();
      lacksModes_ = mirror.lacksModes();
      return mirror.walk();
    } catch (const Failure&) {
      return {};
    }
  }

  void checkFilters() {
    if (spoke_.extraArgs.empty() || !spoke_.exclude.empty()) return;
    checks_.at("config");
    checks_.warn(
        Failure(FailureId::FILTERS_WOULD_DROP,
                "rsync_options.extra_args is set, but the agent does not use it",
                "Files that it would leave out are synced.",
                {{"Leave them out with 'exclude' in the config, and remove extra_args", ""}}));
  }

  Paths keptAnd(Paths paths) {
    if (store_ == nullptr) return paths;
    auto kept = store_->keptFiles(spoke_.name);
    if (kept.ok()) paths.insert(kept->begin(), kept->end());
    return paths;
  }

  void checkAgent(const AgentInfo& agent, const std::string& noise) {
    checks_.at("shell");
    if (noise.empty()) {
      checks_.good("prints nothing of its own");
    } else {
      checks_.warn(noisy(noise));
    }
    checks_.at("agent");
    checkVersion(spoke_, agent);
    if (agent.version != PIBRAIN_VERSION) checks_.warn(otherVersion(agent));
    auto about =
        absl::StrCat("version ", agent.version, ", sandbox: ", agent.sandbox, steps_.took());
    if (agent.partlyConfined) {
      checks_.warn(
          Failure(FailureId::SANDBOX_INCOMPLETE,
                  escapeForTerminal(about) + ": the spoke's kernel cannot fully sandbox the agent",
                  "Landlock needs Linux 5.13 or later, and 'landlock' in /sys/kernel/security/lsm.",
                  {{"See what that file lists, on the spoke", "cat /sys/kernel/security/lsm"}}));
    } else if (agent.version == PIBRAIN_VERSION) {
      checks_.good(about);
    }
    checks_.at("clock");
    double seconds = double(clockDifference(agent)) / 1e9;
    if (auto skew = clockSkew(spoke_, agent)) {
      checks_.warn(Failure(FailureId::CLOCK_DIFFERS, *skew,
                           "Times in status and history are misleading.",
                           {{"Set the clock that is wrong; this shows it", "timedatectl"}}));
    } else {
      auto apart = std::round(std::abs(seconds) * 10) / 10;
      checks_.good(apart == 0 ? "the same as this machine's" : absl::StrCat(apart, " s apart"));
    }
    forced_ = agent.forced;
    checks_.at("sessions");
    checkRoot(spoke_, agent);
    root_ = agent.root;
    if (auto mismatch = rootMismatch(spoke_, agent)) {
      checks_.warn(Failure(
          FailureId::ROOT_DIFFERS, *mismatch, "",
          {{"Correct 'source' in the config, or --root in authorized_keys on the spoke", ""}}));
    }
  }

  // Agent and hub must have the same version.
  Failure otherVersion(const AgentInfo& agent) const {
    Failure failure(FailureId::AGENT_OTHER_VERSION,
                    absl::StrCat("the agent is version ", escapeBriefly(agent.version),
                                 ", the hub is version ", PIBRAIN_VERSION));
    if (isLocal(spoke_)) {
      return failure.addFix({"Install both from one package", ""});
    }
    return failure.addFix(
        {"Install this hub's agent on the spoke",
         ownCommand("spoke upgrade " + escapeForTerminal(shellQuote(spoke_.name)))});
  }

  void checkFiles(AgentSession& session, const Listing& listing, const Tree& tree) {
    bool same = listing.state == proto::Summary::State::SAME;
    // A run would read what is listed.
    auto unreadable = unreadableFiles(session, listing.listed);
    for (auto& problem : listing.problems) {
      if (problem.second != proto::Reason::VANISHED) unreadable.push_back(problem);
    }
    bool unexplained = !listing.complete && listing.problems.empty();
    if (!unreadable.empty() || unexplained) return checks_.fail(unread(unreadable));
    if (auto failure = unreadableIn(spoke_, tree)) return checks_.fail(*failure);
    if (listing.files == 0 && tree.files > 0) {
      return checks_.warn(rootEmpty(root_, tree.files));
    }
    checks_.good(absl::StrCat(root_, ": ", countOf(listing.files, "file"), ", ", tree.files,
                              " in the mirror, ", same ? "up to date" : "to be synced",
                              steps_.took()));
  }

  Failure unread(const std::vector<std::pair<std::string, proto::Reason>>& paths) const {
    auto root = escapeForTerminal(root_);
    if (paths.empty()) {
      return Failure(FailureId::SPOKE_UNREADABLE, "parts of " + root + " cannot be read");
    }
    auto path = root_ + "/" + paths[0].first;
    auto more = paths.size() - 1;
    return Failure(FailureId::SPOKE_UNREADABLE,
                   absl::StrCat("the agent cannot read '", escapeBriefly(path, MAX_OWN_TEXT), "'",
                                more == 0 ? "" : absl::StrCat(", nor ", more, " more")),
                   absl::StrCat("The reason: ", describe(paths[0].second), "."),
                   {{"Check its owner and mode, on the spoke",
                     "ls -ld " + escapeForTerminal(shellQuote(path))}});
  }

  void checkSkipped(const Listing& listing) {
    auto skipped = listing.symlinksSkipped + listing.specialsSkipped;
    std::vector<std::string> names;
    for (auto& path : listing.skipped) names.push_back(escapeBriefly(path));
    checks_.warn(Failure(
        FailureId::FILES_SKIPPED,
        absl::StrCat(
            skipped,
            skipped == 1 ? " symlink or special file is" : " symlinks and special files are",
            " not synced: ", absl::StrJoin(names, ", "), listing.namesAllSkipped() ? "" : ", …"),
        "", {{"To sync the target of a symlink, add it as another spoke", ""}}));
  }

  // P2, for a mirror that another program made, for example rsync.
  void checkModes(const Tree& tree) {
    if (lacksModes_) {
      checks_.at("mirror");
      checks_.warn(Failure(FailureId::MODES_NOT_KEPT,
                           absl::StrCat("'keep_modes' has no effect: the filesystem of ",
                                        escapeForTerminal(spoke_.path), " does not store modes")));
    }
    if (spoke_.keepModes) return;
    uint64_t open = 0;
    for (auto& directory : tree.directories) {
      for (auto& file : directory.files) open += (file.mode & 077) != 0;
    }
    if (open == 0) return;
    checks_.at("mirror");
    checks_.warn(
        Failure(FailureId::MIRROR_EXPOSED,
                absl::StrCat("other users can read ", countOf(open, "file"), " of the mirror"), "",
                {{"Make the mirror private",
                  "chmod -R go= " + escapeForTerminal(shellQuote(spoke_.path))}}));
  }

  void checkLockdown(AgentSession& session) {
    if (!forced_) return checks_.warn(notForced());
    auto lockdown = session.lockdown();
    if (lockdown.complete()) {
      checks_.good(lockdown.verdict(placeOf(spoke_)));
    } else {
      checks_.warn(lockdown.failure(placeOf(spoke_)));
    }
  }

  Failure noisy(const std::string& noise) const {
    // By the person's own login: the key for syncing starts the agent, which prints something.
    auto own = sshRequestOf(spoke_);
    own.key.clear();
    return Failure(FailureId::SHELL_NOISY,
                   absl::StrCat("the spoke's shell printed ", noise.size(),
                                " bytes before the agent's answer"),
                   absl::StrCat("They begin with '", escapeForTerminal(headOf(noise, 60)),
                                "'. Output costs time and breaks other programs."),
                   {{"Make its start-up files (~/.bashrc) print nothing without a terminal; this "
                     "must print nothing",
                     sshInvocation(own) + " true"}});
  }

  Failure notForced() const {
    auto request = sshRequestOf(spoke_);
    Failure failure(
        FailureId::KEY_NOT_LOCKED_DOWN, "the key can run any command on the spoke", "",
        {{"Give the spoke a key that is limited to the agent", ownCommand(request.setUp)}});
    // Without a key of its own, the spoke is reached with the person's, who would be locked out.
    if (request.key.empty()) return failure;
    return failure.addFix(
        {"Or, on the spoke, replace the key's line in ~/.ssh/authorized_keys by the one "
         "that this prints",
         "pi-brain-agent --authorized-keys-line " +
             escapeForTerminal(shellQuote(request.key + ".pub"))});
  }

  const Config& config_;
  const SpokeConfig& spoke_;
  const std::shared_ptr<Passphrases> passphrases_;
  Store* const store_;
  Checklist& checks_;
  LoginSteps steps_;
  DigestOptions mirrorDigests_;
  bool lacksModes_ = false;  // the mirror's filesystem does not store modes
  std::string root_;
  bool forced_ = false;
};

}  // namespace

void examineAgent(const Config& config, const SpokeConfig& spoke,
                  const std::shared_ptr<Passphrases>& passphrases, Store* store,
                  Checklist& checks) {
  AgentExamination(config, spoke, passphrases, store, checks).examine();
}

}  // namespace pibrain
