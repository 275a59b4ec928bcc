// The doctor's checks of a spoke with an agent.

#include <absl/strings/match.h>
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
#include "hub/agent/plan.h"
#include "hub/base/failure.h"
#include "hub/connect/connector.h"
#include "hub/mirror/open-mirror.h"
#include "hub/run/doctor-parts.h"
#include "hub/run/login-steps.h"

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
    checks_.at(isLocal(spoke_) ? "agent" : "ssh");
    auto known = summarizeMirror(tree, kept(), mirrorDigests_);
    steps_.restart();
    auto connector = connectorTo(spoke_, nullptr);
    AgentSession session(spoke_, *connector, steps_.options(passphrases_), io,
                         AgentSession::limitsOf(spoke_, config_.hub));
    session.converse([&]() {
      auto listing =
          session.scan(known, [&](const AgentInfo& agent) { checkAgent(agent, session.noise()); });
      checkFiles(listing, tree);
      if (listing.symlinksSkipped + listing.specialsSkipped > 0) {
        checks_.at("skipped");
        checkSkipped(session.scanAgain(known));
      }
      steps_.checkSpeed();
      if (!isLocal(spoke_)) {
        checks_.at("restrict");
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

  Paths kept() {
    if (store_ == nullptr) return {};
    auto paths = store_->keptFiles(spoke_.name);
    return paths.ok() ? Paths(paths->begin(), paths->end()) : Paths();
  }

  void checkAgent(const AgentInfo& agent, const std::string& noise) {
    checks_.at("shell");
    if (noise.empty()) {
      checks_.good("quiet");
    } else {
      checks_.warn(absl::StrCat("the spoke's shell printed ", noise.size(),
                                " bytes before the agent's "
                                "answer, beginning with '",
                                std::string(headOf(noise, 60)),
                                "'. Make its start-up files (~/.bashrc) print nothing without a "
                                "terminal: output costs time and breaks other programs"));
    }
    checks_.at("agent");
    checkVersion(spoke_, agent);
    auto about =
        absl::StrCat("version ", agent.version, ", sandbox: ", agent.sandbox, steps_.took());
    if (absl::StrContains(agent.sandbox, "no ")) {
      checks_.warn(
          absl::StrCat(about, ". The spoke's kernel cannot fully sandbox the agent: Landlock ",
                       "needs Linux 5.13 or later, and 'landlock' in /sys/kernel/security/lsm"));
    } else {
      checks_.good(about);
    }
    checks_.at("clock");
    auto odd = clockSkew(spoke_, agent);
    double seconds = double(clockDifference(agent)) / 1e9;
    if (odd.empty()) {
      checks_.good(absl::StrCat(std::round(std::abs(seconds) * 10) / 10, " s apart"));
    } else {
      checks_.warn(
          odd +
          ". Set the clock ('timedatectl'), since times in status and history are misleading");
    }
    forced_ = agent.forced;
    checks_.at("root");
    checkRoot(spoke_, agent);
    root_ = agent.root;
    odd = rootMismatch(spoke_, agent);
    if (!odd.empty()) checks_.warn(odd);
  }

  void checkFiles(const Listing& listing, const Tree& tree) {
    bool same = listing.state == proto::Summary::State::SAME;
    auto detail =
        absl::StrCat(root_, ": ", countOf(listing.files, "file"), ", ", tree.files,
                     " in the mirror, ", same ? "up to date" : "to be synced", steps_.took());
    if (listing.complete) {
      checks_.good(detail);
      return;
    }
    throw Failure(
        FailureId::SPOKE_UNREADABLE,
        absl::StrCat("parts of ", escapeForTerminal(root_), " cannot be read: '",
                     escapeBriefly(listing.problems.empty() ? "?" : listing.problems[0].first),
                     "'"),
        "", {{"Check their owner and mode on " + placeOf(spoke_), ""}});
  }

  void checkSkipped(const Listing& listing) {
    std::vector<std::string> names;
    for (auto& path : listing.skipped) names.push_back(escapeBriefly(path));
    checks_.warn(absl::StrCat(listing.symlinksSkipped + listing.specialsSkipped,
                              " symlinks and special files are not synced: ",
                              absl::StrJoin(names, ", "), listing.namesAllSkipped() ? "" : ", …",
                              ". To sync the target of a symlink, add it as another spoke"));
  }

  // P2, for a mirror that another program made, for example rsync.
  void checkModes(const Tree& tree) {
    if (lacksModes_) {
      checks_.at("mirror");
      checks_.warn(absl::StrCat("'keep_modes' has no effect: the filesystem of ",
                                escapeForTerminal(spoke_.path), " does not store modes"));
    }
    if (spoke_.keepModes) return;
    uint64_t open = 0;
    for (auto& directory : tree.directories) {
      for (auto& file : directory.files) open += (file.mode & 077) != 0;
    }
    if (open == 0) return;
    checks_.at("mirror");
    checks_.warn(absl::StrCat("other users can read ", countOf(open, "file"),
                              " of the mirror. 'chmod -R go= ", shellQuote(spoke_.path),
                              "' makes the mirror private"));
  }

  void checkLockdown(AgentSession& session) {
    if (!forced_) {
      checks_.warn(
          "the key can run any command on the spoke. Run 'pi-brain spoke add' again, which limits "
          "the key to the agent; or, on the spoke, replace the key's line in "
          "~/.ssh/authorized_keys by the one that 'pi-brain-agent --authorized-keys-line KEY.pub' "
          "prints");
      return;
    }
    auto lockdown = session.lockdown();
    auto verdict = lockdown.verdict(placeOf(spoke_));
    if (lockdown.complete()) {
      checks_.good(verdict);
    } else {
      checks_.warn(verdict);
    }
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
