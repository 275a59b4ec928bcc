#include "hub/run/live-spoke.h"

#include <kj/exception.h>

#include <optional>
#include <utility>

#include "hub/agent/explain.h"
#include "hub/agent/live-sync.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/run/choose.h"
#include "hub/run/retry-pause.h"
#include "hub/run/sync-spoke.h"

namespace pibrain {

namespace {

using std::chrono::milliseconds;

// A failed run by rsync is repeated so late at the earliest.
constexpr std::chrono::minutes AFTER_FAILED_RUN(1);
// How often to look whether a run is due: schedules count minutes.
constexpr std::chrono::seconds LOOK_WHETHER_DUE(15);

SpokeReport failedReport(const SpokeConfig& spoke, const Failure& failure) {
  SpokeReport report;
  report.name = spoke.name;
  report.outcome = Outcome::FAILED;
  report.failure = failure;
  return report;
}

}  // namespace

void LiveSpoke::run() {
  if (spoke_.method == SyncMethod::AGENT) {
    runLive();
  } else {
    runBySchedule();
  }
  refuseAll();
}

void LiveSpoke::runLive() {
  RetryPause pauses;
  while (!requests_.stopped()) {
    auto began = std::chrono::steady_clock::now();
    requests_.beginConnection();
    auto failure = attempt();
    if (!failure) {
      if (begun_) requests_.putBack(std::exchange(begun_, nullptr));
      continue;
    }
    auto lived =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
    auto pause = pauses.after(failure->id(), lived);
    if (answerAll(*failure)) pause = milliseconds(0);
    observer_.lost(spoke_, *failure, pause);
    requests_.wait(pause);
    if (requests_.takeDoubt()) pauses = RetryPause();
  }
}

std::optional<Failure> LiveSpoke::attempt() {
  std::optional<Failure> failure;
  kj::Maybe<kj::Exception> broke;
  connected_ = false;
  LiveSync sync(*config_, spoke_, options_, store_, *this, requests_);
  try {
    sync.run();
  } catch (const Failure& e) {
    failure = e;
  } catch (kj::Exception& e) {
    broke = kj::mv(e);
  }
  totals_.record();
  begun_ = sync.unanswered();
  KJ_IF_MAYBE(e, broke) failure = explainOutside(spoke_, *e);
  return failure;
}

bool LiveSpoke::answerAll(const Failure& failure) {
  if (begun_) requests_.putBack(std::exchange(begun_, nullptr));
  while (auto request = requests_.take()) {
    // A connection can be dead for long before anyone uses it.
    if ((connected_ || requests_.isDoubted()) && !request->triedAgain) {
      request->triedAgain = true;
      requests_.putBack(request);
      return true;
    }
    request->answer(failedReport(spoke_, failure));
  }
  return false;
}

void LiveSpoke::refuseAll() {
  connected_ = false;
  answerAll(Failure(FailureId::DAEMON_STOPPED,
                    "the daemon let go of the spoke before the run ended", "",
                    {{"Run it again", ownCommand("sync run")}}));
}

void LiveSpoke::runBySchedule() {
  auto notBefore = std::chrono::steady_clock::now();
  while (!requests_.stopped()) {
    auto request = requests_.take();
    (void)requests_.takeDoubt();
    requests_.beginConnection();
    bool due = std::chrono::steady_clock::now() >= notBefore && isDue(spoke_, store_);
    if (!request && !due) {
      entered(LiveState::SCHEDULED, spoke_.scheduleText);
      requests_.wait(LOOK_WHETHER_DUE);
      continue;
    }
    entered(LiveState::SCANNING, "");
    Progress unseen;
    auto report = syncSpoke(*config_, spoke_, request ? request->options : options_, store_,
                            nullptr, request ? request->progress : unseen);
    if (report.outcome != Outcome::OK) {
      notBefore = std::chrono::steady_clock::now() + AFTER_FAILED_RUN;
    }
    if (request) request->answer(report);
    if (!request || !request->options.dryRun) observer_.passed(spoke_, report);
  }
}

void LiveSpoke::entered(LiveState state, const std::string& why) {
  connected_ |= state == LiveState::LIVE || state == LiveState::POLLING;
  observer_.entered(spoke_, state, why);
}

void LiveSpoke::changed(const LiveChange& change) {
  totals_.add(change);
  observer_.changed(spoke_, change);
}

void LiveSpoke::flushed(const WireBytes& wire) {
  totals_.flushed(wire);
  if (observer_.flushed) observer_.flushed(spoke_);
}

void LiveSpoke::passed(const SpokeReport& report) {
  totals_.record();
  if (store_ != nullptr) (void)store_->recordRun(report);
  observer_.passed(spoke_, report);
}

}  // namespace pibrain
