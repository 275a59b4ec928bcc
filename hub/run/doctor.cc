#include "hub/run/doctor.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <errno.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"
#include "hub/agent/agent-session.h"
#include "hub/agent/explain.h"
#include "hub/agent/greeting.h"
#include "hub/agent/plan.h"
#include "hub/base/failure.h"
#include "hub/base/subprocess.h"
#include "hub/base/user-files.h"
#include "hub/connect/connect-ssh.h"
#include "hub/connect/connector.h"
#include "hub/mirror/mirror.h"
#include "hub/rsync/sync.h"
#include "hub/ssh/resolve.h"

namespace pibrain {

namespace {

constexpr uint64_t LITTLE_ROOM = 1 << 30;  // a warning
constexpr uint64_t NO_ROOM = 64 << 20;     // a failure
constexpr int64_t SLOW = 3000;             // ms until the agent has looked at its files
constexpr int64_t LONG_AGO_DAYS = 2;       // for a last good run

class SpokeDoctor {
 public:
  SpokeDoctor(const Config& config, const SpokeConfig& spoke,
              std::shared_ptr<Passphrases> passphrases, Store* store)
      : config_(config), spoke_(spoke), passphrases_(std::move(passphrases)), store_(store) {
    result_.name = spoke.name;
  }

  Diagnosis run() {
    if (!spoke_.enabled) {
      add("config", CheckState::SKIPPED, "disabled ('enabled: false')");
      return result_;
    }
    add("config", CheckState::GOOD,
        absl::StrCat(toString(spoke_.method), ", ",
                     spoke_.sourceText.empty() ? "no source" : spoke_.sourceText));
    switch (spoke_.method) {
      case SyncMethod::AGENT:
        attempt([this]() { examineAgent(); });
        break;
      case SyncMethod::RSYNC:
        attempt([this]() { examineRsync(); });
        break;
      case SyncMethod::SYNCTHING:
        break;
    }
    examineMirror();
    examineRoom();
    if (spoke_.method != SyncMethod::SYNCTHING) examineLastRun();
    return result_;
  }

 private:
  void add(const std::string& step, CheckState state, const std::string& detail) {
    result_.checks.push_back({step, state, escapeForTerminal(detail)});
  }
  void good(const std::string& detail) { add(step_, CheckState::GOOD, detail); }
  void warn(const std::string& detail) { add(step_, CheckState::WARNING, detail); }

  // Does it; what goes wrong is the failure of the step that it was at.
  void attempt(const std::function<void()>& work) {
    try {
      work();
    } catch (const Failure& e) {
      result_.checks.push_back({step_, CheckState::FAILED, e.what()});
    } catch (const kj::Exception& e) {
      result_.checks.push_back({step_, CheckState::FAILED, explainOutside(spoke_, e)});
    }
  }

  ConnectOptions options() {
    ConnectOptions options;
    options.passphrases = passphrases_;
    options.warn = [this](std::string text) { warn(text); };
    options.chose = [this](std::string which) {
      step_ = "ssh";
      good(which);
      step_ = which.starts_with("OpenSSH") ? "connection" : nameOf(SshStep::NAME);
      began_ = std::chrono::steady_clock::now();
    };
    options.passed = [this](SshStep step, std::string detail) {
      step_ = nameOf(step);
      // Of these there is nothing to tell but that one of them failed.
      bool quiet =
          step == SshStep::GREETING || step == SshStep::KEY_EXCHANGE || step == SshStep::COMMAND;
      if (!quiet) good(absl::StrCat(detail, took()));
      step_ = step == SshStep::COMMAND ? "agent" : nameOf(SshStep(int(step) + 1));
    };
    return options;
  }

  // " (12 ms)": the time since the last step.
  std::string took() {
    auto now = std::chrono::steady_clock::now();
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_).count();
    began_ = now;
    times_.push_back({ms, step_});
    return absl::StrCat(" (", ms, " ms)");
  }

  void judgeSpeed() {
    int64_t total = 0;
    for (auto& [ms, step] : times_) total += ms;
    auto [slowest, where] = *std::max_element(times_.begin(), times_.end());
    auto detail = absl::StrCat(total, " ms in all, ", slowest, " ms of it for '", where, "'");
    step_ = "speed";
    if (total < SLOW) return good(detail);
    const std::map<std::string, std::string> cures = {
        {"name", "the name server answers slowly; an address as HostName avoids it"},
        {"connection", "the network is slow to answer; try 'ping'"},
        {"host key", "the machine is slow or busy, or the network is"},
        {"login", "sshd may look the hub's name up ('UseDNS no' in its sshd_config), or ask PAM"},
        {"agent",
         "the shell's start-up files take long (~/.bashrc, also without a terminal), or "
         "the machine is busy"},
        {"root", "there are very many files, or their disk is slow"},
    };
    auto cure = cures.find(where);
    warn(absl::StrCat(detail, cure == cures.end() ? "" : ": " + cure->second));
  }

  void examineAgent() {
    step_ = spoke_.source.host.empty() ? "agent" : "ssh";
    auto io = kj::setupAsyncIo();
    auto tree = readMirror();
    judgeModes(tree);
    auto known = summarizeMirror(tree, kept(), mirrorDigests_);
    began_ = std::chrono::steady_clock::now();
    auto connector = connectorTo(spoke_, nullptr);
    AgentSession session(spoke_, *connector, options(), io,
                         AgentSession::limitsOf(spoke_, config_.hub));
    session.converse([&]() {
      auto listing =
          session.scan(known, [&](const AgentInfo& agent) { checkAgent(agent, session.noise()); });
      judgeFiles(listing, tree);
      if (listing.symlinksSkipped + listing.specialsSkipped > 0) {
        step_ = "skipped";
        judgeSkipped(session.scanAgain(known));
      }
      judgeSpeed();
      if (!spoke_.source.host.empty()) {
        step_ = "restrict";
        judgeForced(session);
      }
    });
  }

  // Empty if it cannot be read, which is judged elsewhere.
  Tree readMirror() {
    try {
      Mirror mirror(spoke_.path, Mirror::Access::READ,
                    Archive(config_.hub.archiveDir, spoke_.name, wallClockNanos()));
      mirror.keepModes(spoke_.keepModes);
      mirror.setTraits(traitsOf(mirror, spoke_.name, store_, false));
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
    step_ = "shell";
    if (noise.empty()) {
      good("quiet");
    } else {
      warn(absl::StrCat("the spoke's shell printed ", noise.size(),
                        " bytes before the agent's "
                        "answer, beginning with '",
                        std::string(headOf(noise, 60)),
                        "'. Make its start-up files (~/.bashrc) quiet without a terminal: it "
                        "costs time, and breaks other programs"));
    }
    step_ = "agent";
    checkVersion(spoke_, agent);
    auto about = absl::StrCat("version ", agent.version, ", sandbox: ", agent.sandbox, took());
    if (absl::StrContains(agent.sandbox, "no ")) {
      warn(absl::StrCat(about, ". The spoke's kernel cannot confine the agent wholly: Landlock ",
                        "takes Linux 5.13 or later, in the list of /sys/kernel/security/lsm"));
    } else {
      good(about);
    }
    step_ = "clock";
    auto odd = clockSkew(spoke_, agent);
    double seconds = double(clockDifference(agent)) / 1e9;
    if (odd.empty()) {
      good(absl::StrCat(std::round(std::abs(seconds) * 10) / 10, " s apart"));
    } else {
      warn(odd + ". Times in status and history mislead; set the clock ('timedatectl')");
    }
    forced_ = agent.forced;
    step_ = "root";
    checkRoot(spoke_, agent);
    root_ = agent.root;
    odd = rootMismatch(spoke_, agent);
    if (!odd.empty()) warn(odd);
  }

  void judgeFiles(const Listing& listing, const Tree& tree) {
    bool same = listing.state == proto::Summary::State::SAME;
    auto detail = absl::StrCat(root_, ": ", countOf(listing.files, "file"), ", ", tree.files,
                               " in the mirror, ", same ? "up to date" : "to be synced", took());
    if (listing.complete) {
      good(detail);
      return;
    }
    throw Failure(
        absl::StrCat("parts of ", escapeForTerminal(root_), " cannot be read: '",
                     escapeBriefly(listing.problems.empty() ? "?" : listing.problems[0].first),
                     "'. Check their owner and mode on ", placeOf(spoke_), "."));
  }

  void judgeSkipped(const Listing& listing) {
    std::vector<std::string> names;
    for (auto& path : listing.skipped) names.push_back(escapeBriefly(path));
    warn(absl::StrCat(listing.symlinksSkipped + listing.specialsSkipped,
                      " symlinks and special files are not synced: ", absl::StrJoin(names, ", "),
                      listing.namesAllSkipped() ? "" : ", …",
                      ". To sync what a symlink names, make that a spoke of its own"));
  }

  // P2, for a mirror that somebody else made, by rsync say.
  void judgeModes(const Tree& tree) {
    if (lacksModes_) {
      step_ = "mirror";
      warn(absl::StrCat("'keep_modes' does nothing: the filesystem of ",
                        escapeForTerminal(spoke_.path), " keeps no modes"));
    }
    if (spoke_.keepModes) return;
    uint64_t open = 0;
    for (auto& directory : tree.directories) {
      for (auto& file : directory.files) open += (file.mode & 077) != 0;
    }
    if (open == 0) return;
    step_ = "mirror";
    warn(absl::StrCat("others may read ", countOf(open, "file"), " of the mirror: 'chmod -R go= ",
                      shellQuote(spoke_.path), "' makes it yours alone"));
  }

  void judgeForced(AgentSession& session) {
    if (!forced_) {
      warn(
          "the key may run any command on the spoke. 'pi-brain spoke add', again, has it start the "
          "agent alone; or put the line that 'pi-brain-agent --authorized-keys-line "
          "KEY.pub' prints there in place of the key's line in ~/.ssh/authorized_keys");
      return;
    }
    auto lockdown = session.lockdown();
    auto verdict = lockdown.verdict(placeOf(spoke_));
    if (lockdown.complete()) {
      good(verdict);
    } else {
      warn(verdict);
    }
  }

  void examineRsync() {
    if (!spoke_.source.host.empty()) examineRsyncThere();
    // What a run would do, without doing it: whatever keeps it from syncing shows itself.
    step_ = "sessions";
    SpokeReport would;
    would.started = wallClockNanos();
    RunOptions options;
    options.dryRun = true;
    Progress unseen;
    syncByRsync(config_, spoke_, options, store_, would, unseen);
    good(absl::StrCat(countOf(would.counts.files, "file"), " on the spoke, ", would.changes.size(),
                      " of them to fetch"));
  }

  void examineRsyncThere() {
    step_ = "ssh";
    auto target = resolveSsh(sshRequestOf(spoke_));
    if (!target.ok()) throw Failure(std::string(target.status().message()));
    auto io = kj::setupAsyncIo();
    // Whatever the key lets it run: the login is what counts.
    auto connection = connectSsh(*target, "rsync --version", SshOptions(options()), io);
    connection->stream().shutdownWrite();
    auto end = kj::systemPreciseMonotonicClock().now() + 10 * kj::SECONDS;
    auto silence = io.provider->getTimer().atTime(end);
    auto text = connection->stream()
                    .readAllText(64 * 1024)
                    .exclusiveJoin(silence.then([]() { return kj::heapString(""); }))
                    .wait(io.waitScope);
    step_ = "rsync";
    auto first = std::string(text.cStr()).substr(0, std::string(text.cStr()).find('\n'));
    if (first.starts_with("rsync ")) {
      good(absl::StrCat("on the spoke: ", first));
    } else {
      warn(
          "the key does not run 'rsync --version' on the spoke: rsync is missing there, or a "
          "forced command (rrsync) answers for it, which is well");
    }
  }

  void examineMirror() {
    step_ = "mirror";
    bool there = nearestTo(spoke_.path).error == 0;
    auto why = whyNotWritable(spoke_.path);
    if (!why.empty()) {
      result_.checks.push_back(
          {step_, CheckState::FAILED,
           absl::StrCat("the mirror ", escapeForTerminal(spoke_.path), " cannot be kept: ", why,
                        ". If the path is wrong, correct 'path' in the config")});
    } else if (!there && spoke_.method == SyncMethod::SYNCTHING) {
      warn(spoke_.path + " does not exist: Syncthing has not put anything there yet");
    } else {
      good(absl::StrCat(spoke_.path, there ? ", writable" : ", will be made by the first run"));
    }
  }

  void examineRoom() {
    step_ = "disk";
    auto mirror = nearestTo(spoke_.path).path;
    std::set<std::string> paths{mirror, nearestTo(config_.hub.archiveDir).path};
    paths.insert(nearestTo(config_.hub.databaseDir).path);
    for (auto& path : paths) {
      struct statvfs fs;
      if (statvfs(path.c_str(), &fs) != 0) {
        warn(absl::StrCat("how much is free at ", path, " is not known: ", strerror(errno)));
        continue;
      }
      uint64_t room = uint64_t(fs.f_bavail) * fs.f_frsize;
      auto detail = absl::StrCat(formatBytes(room), " free at ", path);
      if (room < NO_ROOM || (fs.f_files > 0 && fs.f_favail == 0)) {
        add(step_, CheckState::FAILED,
            detail + (room < NO_ROOM ? "" : ", but no inodes") +
                ". Make room: 'df -h' and 'df -i' show what is used");
      } else if (room < LITTLE_ROOM) {
        warn(detail + ". A large session more, and it is full");
      } else if (path == mirror) {
        good(detail);
      }
    }
  }

  void examineLastRun() {
    step_ = "last run";
    if (store_ == nullptr) return warn("never synced: 'pi-brain sync run' does it");
    auto runs = store_->lastRuns(spoke_.name);
    if (!runs.ok()) return warn(std::string(runs.status().message()));
    int64_t now = wallClockNanos();
    auto last =
        runs->lastGood ? "last good run " + formatAgo(*runs->lastGood, now) : "never synced";
    if (!runs->lastError.empty()) {
      result_.checks.push_back({step_, CheckState::WARNING,
                                absl::StrCat(last, "; the latest failed: ", runs->lastError)});
    } else if (!runs->lastGood) {
      warn("never synced: 'pi-brain sync run' does it");
    } else if (now - *runs->lastGood > LONG_AGO_DAYS * 86400 * 1'000'000'000) {
      warn(last + ". Does cron or the timer still start 'pi-brain sync run'?");
    } else {
      good(last);
    }
  }

  const Config& config_;
  const SpokeConfig& spoke_;
  const std::shared_ptr<Passphrases> passphrases_;
  Store* store_;
  Diagnosis result_;
  std::string step_;
  DigestOptions mirrorDigests_;
  bool lacksModes_ = false;  // the mirror's filesystem has none to keep
  std::string root_;
  std::vector<std::pair<int64_t, std::string>> times_;  // ms of each step
  bool forced_ = false;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace

Diagnosis examineSpoke(const Config& config, const SpokeConfig& spoke,
                       std::shared_ptr<Passphrases> passphrases, Store* store) {
  return SpokeDoctor(config, spoke, std::move(passphrases), store).run();
}

}  // namespace pibrain
