#include "hub/agent/sync-pass.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <kj/debug.h>

#include <algorithm>
#include <future>
#include <optional>
#include <set>

#include "common/fs/file-times.h"
#include "common/text/escape.h"
#include "common/text/format.h"
#include "common/text/shell-quote.h"
#include "common/wire/protocol.h"
#include "hub/agent/gone-twice.h"
#include "hub/agent/greeting.h"
#include "hub/agent/left-out.h"
#include "hub/agent/move-matcher.h"
#include "hub/agent/plan.h"
#include "hub/agent/transfer.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/base/parallel.h"
#include "hub/base/reason.h"
#include "hub/mirror/archive-catalog.h"
#include "hub/mirror/deletion.h"
#include "hub/mirror/mirror.h"
#include "hub/mirror/open-mirror.h"
#include "hub/mirror/readable.h"

namespace pibrain {

namespace {

constexpr size_t MAX_DESCRIBED = 5;

// The result of another thread, with its exception as a value: KJ aborts if an exception leaves its
// thread.
struct Walked {
  Tree tree;
  kj::Maybe<kj::Exception> failure;
};

// What a pass knows when it begins to change the mirror.
struct Compared {
  const Tree& tree;
  const MirrorSummary& known;
  const Plan& plan;
  const Listing& listing;
};

}  // namespace

class SyncPass::Impl {
 public:
  Impl(const Config& config, const SpokeConfig& spoke, const RunOptions& options, Store* store,
       SpokeReport& report, Progress& progress)
      : config_(config),
        spoke_(spoke),
        options_(options),
        store_(store),
        report_(report),
        progress_(progress),
        started_(wallClockNanos()),
        mirror_(openMirror(config, spoke, store,
                           options.dryRun ? Mirror::Access::READ : Mirror::Access::WRITE,
                           started_)),
        leftOut_(spoke, store) {
    if (auto modes = warningOfModes(mirror_, spoke_.name, store_, !options_.dryRun)) {
      warn(std::move(*modes));
    }
    loadKept();
    walking_ = startInBackground([this]() { return walk(mirror_); });
  }

  void remember(LiveFiles& files) { live_ = &files; }

  bool outdated() const { return outdated_; }

  void run(AgentSession& session, kj::FunctionParam<void()> answered) {
    progress_.phase = Progress::Phase::COMPARING;
    auto walked = walking_.get();
    KJ_IF_MAYBE(e, walked.failure) kj::throwFatalException(kj::mv(*e));
    auto& tree = walked.tree;
    mirror_.walked(tree);
    requireReadable(spoke_, tree, report_.warnings, &unread_);
    auto digests = mirror_.digestOptions();
    mirror_.makeLostUnlike(tree, digests);
    inMirrorLeftOut_ = leftOut_.inMirror(tree);
    kept_.insert(inMirrorLeftOut_.begin(), inMirrorLeftOut_.end());
    auto known = summarizeMirror(tree, kept_, digests);
    known.remembersKept = remembersKept_;
    leftOut_.addTo(known);

    auto listing =
        session.scan(known, [&](const AgentInfo& agent) { greeted(agent, session.noise()); });
    answered();
    noteListing(listing);
    if (listing.files == 0 && tree.files > 0 && !options_.deleteGone) {
      warn(rootEmpty(spoke_.source.path, tree.files).what());
    }
    auto plan = makePlan(tree, kept_, known, listing);
    leaveAlone(plan, unread_);
    matchMoves(plan, mirror_, session);
    // Files that failed the last time come last, so that they do not delay others.
    std::stable_partition(plan.files.begin(), plan.files.end(),
                          [&](auto& file) { return !failed_.contains(file.remote.path); });
    if (options_.dryRun) {
      showPlan(session, {tree, known, plan, listing});
    } else {
      carryOut(session, {tree, known, plan, listing});
    }
  }

 private:
  static Walked walk(const Mirror& mirror) {
    Walked walked;
    walked.failure = kj::runCatchingExceptions([&]() { walked.tree = mirror.walk(); });
    return walked;
  }

  void greeted(const AgentInfo& agent, const std::string& noise) {
    validateHello(spoke_, agent, noise, report_.warnings);
    agentClock_ = agent.clock;
    mirror_.archive().clockShows(agent.clock);
    report_.agentVersion = agent.version;
    report_.sandbox = agent.sandbox;
  }

  void loadKept() {
    if (store_ == nullptr) return;
    auto kept = store_->keptFiles(spoke_.name);
    if (kept.ok()) {
      kept_.insert(kept->begin(), kept->end());
      auto last = store_->lastRuns(spoke_.name);
      remembersKept_ = last.ok() && last->lastGood;
      auto failed = store_->failedFiles(spoke_.name);
      if (failed.ok()) failed_.insert(failed->begin(), failed->end());
    } else {
      warn(std::string(kept.status().message()));
    }
  }

  void noteListing(const Listing& listing) {
    report_.counts.files = listing.files;
    size_t described = 0;
    bool vanished = false;
    for (auto& [path, reason] : listing.problems) {
      vanished |= reason == proto::Reason::VANISHED;
      if (reason == proto::Reason::VANISHED || ++described > MAX_DESCRIBED) continue;
      warn(absl::StrCat("'", escapeBriefly(path.empty() ? "." : path),
                        "' on the spoke was not read: ", describe(reason)));
    }
    if (vanished) {
      warn("directories disappeared while they were read; the next run looks again");
    }
    if (uint32_t skipped = listing.symlinksSkipped + listing.specialsSkipped; skipped > 0) {
      warn(absl::StrCat("skipped symlinks and special files: ", skipped, namesOf(listing)));
    }
  }

  // Returns some of the skipped entries, in parentheses after a space.
  static std::string namesOf(const Listing& listing) {
    if (listing.skipped.empty()) return "";
    std::vector<std::string> names;
    for (auto& path : listing.skipped) {
      if (names.size() < MAX_DESCRIBED) names.push_back(escapeBriefly(path));
    }
    return absl::StrCat(
        " (", absl::StrJoin(names, ", "),
        listing.namesAllSkipped() && names.size() == listing.skipped.size() ? ")" : ", …)");
  }

  void showPlan(AgentSession& session, const Compared& all) {
    auto& plan = all.plan;
    for (auto& file : plan.files) {
      uint64_t added = file.kind == ChangeKind::GROW ? file.remote.size - file.basisSize : 0;
      report_.bytesGrown += added;
      report_.changes.push_back({file.kind, file.remote.path,
                                 file.kind == ChangeKind::MOVE ? file.candidates[0] : "",
                                 file.remote.size, added});
      countChange(file.kind, report_.counts);
    }
    Paths moved;
    for (auto& change : report_.changes) {
      if (change.kind == ChangeKind::MOVE) moved.insert(change.from);
    }
    std::vector<GoneFile> gone;
    for (auto& file : plan.gone) {
      if (!moved.contains(file.path)) gone.push_back(file);
    }
    std::optional<Failure> refusal;
    Paths seen;
    for (auto& file : plan.files) seen.insert(file.remote.path);
    auto going = mayGo(session, all, gone, seen, refusal);
    for (auto& [path, size, mtime] : gone) {
      auto kind = going.contains(path) ? ChangeKind::DELETE : ChangeKind::KEEP;
      report_.changes.push_back({kind, path, "", size});
      countChange(kind, report_.counts);
    }
    if (!refusal) refusal = unreadInMirror();
    if (refusal) throw *refusal;
  }

  void carryOut(AgentSession& session, const Compared& all) {
    auto& listing = all.listing;
    mirror_.noteEdits(all.tree);
    std::optional<Paths> onSpoke;  // computed when names turn out to fold
    mirror_.spokeHas([&](const std::string& path) {
      if (!onSpoke) onSpoke = pathsOf(all.known, listing);
      return onSpoke->contains(path);
    });
    Transfer transfer(mirror_, session, mirror_.keepsModes(), report_, progress_);
    if (live_ != nullptr) transfer.remember(*live_);
    {
      KJ_ON_SCOPE_FAILURE(rememberFailed(transfer, failed_));
      transfer.run(all.plan.files);
    }

    std::vector<GoneFile> gone;
    auto moved = transfer.movedFrom();
    for (auto& file : all.plan.gone) {
      if (moved.contains(file.path) || !mirror_.stillNamed(file.path)) continue;
      gone.push_back(file);
    }
    std::optional<Failure> refusal;
    // A candidate for a move that was not fetched yet may be the only copy of the file.
    auto unfinished = transfer.unfinishedMoves();
    auto going = mayGo(session, all, gone, transfer.fetched(), refusal);
    std::erase_if(going, [&](auto& path) { return unfinished.contains(path); });
    gone = deleteGone(gone, going);
    report_.counts.kept = uint32_t(gone.size());
    std::erase_if(gone, [&](auto& file) { return unfinished.contains(file.path); });
    for (auto& path : kept_) {
      if (isWithin(path, unread_)) gone.push_back({path});
    }
    if (listing.complete) rememberKept(gone);
    leftOut_.remember(all.known, listing);
    rememberFailed(transfer);
    mirror_.finish({transfer.left(), !listing.complete || !unread_.empty()});
    // By the earlier of both clocks, so that a clock that is years ahead does not empty the
    // archive.
    auto expired = expireArchive(config_.hub.archiveDir, spoke_.name, config_.hub.archiveDays,
                                 std::min(started_, agentClock_), agesFile());
    if (!expired.ok()) warn(std::string(expired.message()));
    requireAll(transfer, listing, refusal);
  }

  // Returns which of the gone files may be deleted (P5): none unless deleting is requested, else
  // those that a second walk of the spoke's tree did not find either. `fetched`: the plan's files
  // that are in the mirror now. Sets `refusal` if deleting is refused.
  Paths mayGo(AgentSession& session, const Compared& all, std::vector<GoneFile> gone,
              const Paths& fetched, std::optional<Failure>& refusal) {
    if (!deleting() || onlyVanished(all.listing)) return {};
    // A file that is left out is not gone.
    auto isLeftOut = [&](auto& file) { return inMirrorLeftOut_.contains(file.path); };
    std::erase_if(gone, isLeftOut);
    refusal = whyNotDelete(all.plan, gone.size(), all.listing);
    if (refusal || gone.empty()) return {};
    auto known = all.known;
    known.maxSkipped = MAX_SKIPPED;
    known.untilAtRest = true;
    auto second = session.scanAgain(known);
    outdated_ = !second.sameFiles(all.listing);
    // The ids that were remembered are those of the first scan.
    if (live_ != nullptr) live_->forgetIds();
    if (onlyVanished(second)) return {};
    if (second.rest == proto::Summary::Rest::CHANGING) {
      warn(
          "nothing was deleted, because files appeared, disappeared or were renamed on the spoke "
          "meanwhile; a later run deletes them");
      return {};
    }
    refusal = whyNotDelete(all.plan, gone.size(), second);
    if (!refusal && !second.namesAllSkipped()) {
      refusal =
          Failure(FailureId::DELETION_REFUSED,
                  absl::StrCat("nothing was deleted, because the spoke has ",
                               second.symlinksSkipped + second.specialsSkipped,
                               " symlinks and special files, but its agent names only ",
                               second.skipped.size(), " of them"),
                  "Files at their paths in the mirror must not be deleted.",
                  {{"If there are fewer, the agent is old: upgrade it",
                    ownCommand("spoke upgrade " + escapeForTerminal(shellQuote(spoke_.name)))}});
    }
    if (refusal) return {};
    Paths going;
    for (auto& file : goneTwice(all.plan, all.tree, kept_, known, second, fetched)) {
      if (!isLeftOut(file)) going.insert(file.path);
    }
    return going;
  }

  // Returns whether the only problem was directories that disappeared while they were read. Nobody
  // needs to fix that: a later run finds the tree at rest.
  static bool onlyVanished(const Listing& listing) {
    return !listing.complete && !listing.problems.empty() &&
           std::all_of(listing.problems.begin(), listing.problems.end(),
                       [](auto& problem) { return problem.second == proto::Reason::VANISHED; });
  }

  // Moves the gone files in `asked` to the archive; returns those that stay.
  std::vector<GoneFile> deleteGone(const std::vector<GoneFile>& gone, const Paths& asked) {
    std::vector<std::string> going;
    for (auto& file : gone) {
      if (asked.contains(file.path)) going.push_back(file.path);
    }
    auto deletion = archiveGone(mirror_, going);
    Paths archived(deletion.archived.begin(), deletion.archived.end());
    std::vector<GoneFile> stay;
    for (auto& file : gone) {
      if (archived.contains(file.path)) {
        ++report_.counts.deleted;
        report_.changes.push_back({ChangeKind::DELETE, file.path, "", file.size});
      } else if (!asked.contains(file.path) || deletion.failed.contains(file.path)) {
        stay.push_back(file);
      }
    }
    for (auto& [path, why] : deletion.failed) {
      undeleted_.push_back(escapeBriefly(path) + ": " + elideMiddle(why, MAX_OWN_TEXT));
    }
    for (auto& one : deletion.uncommitted) {
      if (one.remedy) remedies_.insert(*one.remedy);
    }
    Mirror::requireOfSingleFiles(deletion.uncommitted);
    return stay;
  }

  std::string agesFile() const { return archiveAgesFile(config_.hub.databaseDir, spoke_.name); }

  bool deleting() const { return options_.deleteGone || spoke_.deleteGone; }

  // P5: returns why nothing may be deleted, even if requested; nullopt: it may.
  std::optional<Failure> whyNotDelete(const Plan& plan, uint64_t count, const Listing& listing) {
    if (!listing.complete) {
      return notDeletedUnread("some directories on the spoke");
    }
    return pibrain::whyNotDelete(spoke_, count, plan.mirrorFiles, plan.spokeFiles,
                                 options_.maxDelete);
  }

  // `untried`: files that failed before, and may not have been tried again.
  void rememberFailed(const Transfer& transfer, Paths untried = {}) {
    report_.counts.failed = uint32_t(transfer.failures().size());
    untried.insert(transfer.failed().begin(), transfer.failed().end());
    if (store_ == nullptr || untried == failed_) return;
    (void)store_->setFailedFiles(spoke_.name, {untried.begin(), untried.end()});
  }

  void rememberKept(const std::vector<GoneFile>& gone) {
    Paths paths;
    for (auto& file : gone) paths.insert(file.path);
    if (store_ == nullptr || paths == kept_) return;
    auto status = store_->setKeptFiles(spoke_.name, {paths.begin(), paths.end()});
    if (!status.ok()) warn(std::string(status.message()));
  }

  // Throws one failure with everything that went wrong in this run.
  void requireAll(const Transfer& transfer, const Listing& listing,
                  const std::optional<Failure>& refusal) {
    std::vector<Failure> wrong;
    auto failures = transfer.failures();
    failures.insert(failures.end(), undeleted_.begin(), undeleted_.end());
    const std::string* unread = nullptr;
    for (auto& [path, reason] : listing.problems) {
      if (reason == proto::Reason::NAME_TOO_LONG) {
        failures.push_back(absl::StrCat(escapeBriefly(path), ": ", describe(reason)));
      } else if (reason != proto::Reason::VANISHED && unread == nullptr) {
        unread = &path;
      }
    }
    for (auto& path : listing.reserved) {
      failures.push_back(escapeBriefly(path) + ": the mirror uses this name itself");
    }
    report_.counts.failed = uint32_t(failures.size());
    if (!failures.empty()) wrong.push_back(filesFailed(failures, listing.files, transfer));
    if (!listing.complete && (unread != nullptr || listing.problems.empty())) {
      wrong.push_back(Failure(
          FailureId::SPOKE_UNREADABLE,
          absl::StrCat("parts of the spoke's tree could not be read: '",
                       unread == nullptr ? "?" : escapeBriefly(*unread), "' and its content"),
          "", {{"Check the owner and mode of these directories on " + placeOf(spoke_), ""}}));
    }
    if (auto failure = unreadInMirror()) wrong.push_back(*failure);
    if (refusal) wrong.push_back(*refusal);
    if (wrong.empty()) return;
    bool all = failures.size() >= listing.files;
    auto failure = joined(std::move(wrong));
    throw all ? failure : failure.addCause("Everything else was synced.");
  }

  // `failures`: "path: reason" of each.
  Failure filesFailed(const std::vector<std::string>& failures, uint32_t files,
                      const Transfer& transfer) const {
    std::vector<std::string> some(
        failures.begin(), failures.begin() + ptrdiff_t(std::min(failures.size(), MAX_DESCRIBED)));
    auto remedies = remedies_;
    remedies.insert(transfer.remedies().begin(), transfer.remedies().end());
    auto fixes = fixesOf(remedies);
    if (fixes.empty()) {
      fixes.push_back(
          {"If the next run fails too, search for the cause",
           ownCommand("sync doctor --spoke " + escapeForTerminal(shellQuote(spoke_.name)))});
    }
    return Failure(
        idOf(remedies),
        absl::StrCat(failures.size(), " of ", countOf(files, "file"), " could not be synced"),
        absl::StrCat(absl::StrJoin(some, "; "), failures.size() > some.size() ? "; …" : "",
                     ". The next run tries again."),
        fixes);
  }

  std::optional<Failure> unreadInMirror() const {
    if (unread_.empty()) return std::nullopt;
    return Failure(
        FailureId::MIRROR_UNREADABLE,
        absl::StrCat("part of the mirror cannot be read: '", escapeForTerminal(spoke_.path), "/",
                     escapeBriefly(*unread_.begin()), "'",
                     unread_.size() > 1 ? absl::StrCat(" and ", unread_.size() - 1, " more") : "",
                     unread_.size() > 1 ? " stay" : " stays", " unchanged, with all content"),
        "The disk may be failing, or pi-brain has reached its limit of open files ('ulimit -n').",
        {{"Check the kernel's messages for disk errors", "sudo dmesg | tail"}});
  }

  void warn(std::string text) { report_.warnings.push_back(std::move(text)); }

  const Config& config_;
  const SpokeConfig& spoke_;
  const RunOptions& options_;
  Store* store_;
  SpokeReport& report_;
  Progress& progress_;
  LiveFiles* live_ = nullptr;
  bool outdated_ = false;
  const int64_t started_;  // ns since the epoch
  Mirror mirror_;
  LeftOut leftOut_;
  Paths kept_, failed_;
  Paths inMirrorLeftOut_;  // the part of kept_ that is left out now
  bool remembersKept_ = false;
  int64_t agentClock_ = 0;              // ns since the epoch, at its hello
  std::vector<std::string> undeleted_;  // "path: reason"
  std::set<Remedy> remedies_;           // their fixes
  Paths unread_;                        // directories and files of the mirror
  std::future<Walked> walking_;         // last, so that it ends before what it reads is destroyed
};

SyncPass::SyncPass(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                   Store* store, SpokeReport& report, Progress& progress)
    : impl_(kj::heap<Impl>(config, spoke, options, store, report, progress)) {}

SyncPass::~SyncPass() noexcept(false) {}

void SyncPass::remember(LiveFiles& files) { impl_->remember(files); }

bool SyncPass::outdated() const { return impl_->outdated(); }

void SyncPass::run(AgentSession& session, kj::FunctionParam<void()> answered) {
  impl_->run(session, kj::mv(answered));
}

}  // namespace pibrain
