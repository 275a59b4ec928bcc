#include "hub/agent/live-sync.h"

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/debug.h>
#include <kj/time.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "common/fs/file-times.h"
#include "hub/agent/live-files.h"
#include "hub/agent/live-mirror.h"
#include "hub/agent/now.h"
#include "hub/agent/reporting.h"
#include "hub/agent/sync-pass.h"

namespace pibrain {

namespace {

// Whatever a watch might miss, a scan finds so soon (P9).
constexpr kj::Duration SCAN_AFTER = 15 * kj::MINUTES;
// An agent of the previous protocol cannot watch.
constexpr kj::Duration POLL_AFTER = 10 * kj::SECONDS;
// Scans that changes ask for take at most a twentieth of the time, and are at most so far apart.
constexpr int SCAN_SHARE = 20;
constexpr kj::Duration MIN_PAUSE = 100 * kj::MILLISECONDS, MAX_PAUSE = 60 * kj::SECONDS;
constexpr std::chrono::milliseconds LOOK_AGAIN(200);
// Within this, an agent answers if its connection works.
constexpr uint32_t ANSWER_SECONDS = 3;
// Our agents tell of changes at most 50 times a second.
constexpr std::chrono::milliseconds MIN_BETWEEN_ANSWERS(10);

}  // namespace

void LiveSync::run() {
  auto connector = connectorTo(spoke_, store_);
  auto io = kj::setupAsyncIo();
  observer_.entered(LiveState::CONNECTING, "");
  SpokeReport connecting;  // receives warnings about the connection
  auto connect = reportingTo(connecting, options_.passphrases);
  connect.watches = true;
  // After a change of the network, another attempt is likely to be faster.
  connect.giveUp = [this]() { return requests_.mustEnd() || requests_.isDoubted(); };
  connect.limiter = options_.limiter;
  if (connect.limiter == nullptr && spoke_.bwLimit > 0) {
    connect.limiter = std::make_shared<RateLimiter>(spoke_.bwLimit * 1024.0);
  }
  AgentSession session(spoke_, *connector, std::move(connect), io,
                       AgentSession::limitsOf(spoke_, config_.hub));
  LiveFiles files;
  session.converse([&]() {
    while (!requests_.mustEnd()) {
      request_ = requests_.take();
      observer_.entered(LiveState::SCANNING, "");
      files.forgetIds();
      pass(session, *connector, files);
      watch(session, files, io);
    }
  });
}

void LiveSync::pass(AgentSession& session, Connector& connector, LiveFiles& files) {
  std::chrono::seconds patience = std::chrono::years(1);
  if (request_) patience = request_->options.wait;
  auto until = std::chrono::steady_clock::now() + patience;
  auto report = passOnce(session, connector, files);
  while (report.outcome == Outcome::LOCKED && std::chrono::steady_clock::now() < until) {
    // Who asks for a pass wants to know that the mirror is locked.
    if (requests_.mustEnd() || (!request_ && requests_.any())) return;
    std::this_thread::sleep_for(LOOK_AGAIN);
    report = passOnce(session, connector, files);
  }
  auto request = std::exchange(request_, nullptr);
  if (request) request->answer(report);
  if (report.outcome == Outcome::LOCKED || (request && request->options.dryRun)) return;
  observer_.passed(report);
}

SpokeReport LiveSync::passOnce(AgentSession& session, Connector& connector, LiveFiles& files) {
  SpokeReport report;
  report.name = spoke_.name;
  report.started = wallClockNanos();
  auto began = now();
  auto wireBefore = session.wire();
  Progress unseen;
  bool dry = request_ && request_->options.dryRun;
  try {
    SyncPass pass(config_, spoke_, request_ ? request_->options : options_, store_, report,
                  request_ ? request_->progress : unseen);
    if (!dry) pass.remember(files);
    // The watch tells what changes after this pass's scan.
    outdated_ = true;
    pass.run(session, [&]() {
      connector.confirmed();
      took_ = now() - began;
    });
    outdated_ = dry || pass.outdated();
  } catch (const Failure& e) {
    report.failure = e;
    report.outcome = e.id() == FailureId::MIRROR_IN_USE ? Outcome::LOCKED : Outcome::FAILED;
  }
  auto took = now() - began;
  report.finished = report.started + took / kj::NANOSECONDS;
  report.wire = {session.wire().up - wireBefore.up, session.wire().down - wireBefore.down};
  if (!dry && report.outcome != Outcome::LOCKED) {
    scanned_ = now();
    failed_ = report.outcome == Outcome::FAILED;
  }
  return report;
}

LiveSync::Time LiveSync::nextScan(bool needed) const {
  if (failed_) return scanned_ + MAX_PAUSE;
  if (!needed) return scanned_ + SCAN_AFTER;
  return scanned_ + kj::min(kj::max(SCAN_SHARE * took_, MIN_PAUSE), MAX_PAUSE);
}

void LiveSync::watch(AgentSession& session, LiveFiles& files, kj::AsyncIoContext& io) {
  if (!session.watches()) {
    observer_.entered(LiveState::POLLING, "its pi-brain-agent is older than this hub");
    while (now() < scanned_ + POLL_AFTER && !requests_.any()) requests_.wait(LOOK_AGAIN);
    if (requests_.takeDoubt()) session.requireAnswer(ANSWER_SECONDS);
    return;
  }
  LiveMirror mirror(config_, spoke_, store_, session, files, observer_);
  session.beginWatch();
  KJ_DEFER(session.endWatch());
  bool ended = false;
  auto answered = std::chrono::steady_clock::now() - MIN_BETWEEN_ANSWERS;
  kj::UnixEventPort::FdObserver requested(io.unixEventPort, requests_.fd(),
                                          kj::UnixEventPort::FdObserver::OBSERVE_READ);
  auto& timer = io.provider->getTimer();
  for (;;) {
    auto wake = requested.whenBecomesReadable();
    requests_.reset();
    if (requests_.takeDoubt()) session.requireAnswer(ANSWER_SECONDS);
    auto due = nextScan(mirror.needsScan() || ended || outdated_);
    if (now() >= due || requests_.any()) break;
    if (ended) {
      mirror.close();
      std::this_thread::sleep_for(LOOK_AGAIN / 10);
      continue;
    }
    auto atMost = kj::min(mirror.dueIn(), due - now() + 5 * kj::MILLISECONDS);
    auto heard = session.awaitChanges(timer.afterDelay(atMost).exclusiveJoin(kj::mv(wake)),
                                      [&](proto::Event::Reader event) { mirror.event(event); });
    if (heard == AgentSession::Heard::EVENTS) mirror.endOfBlock();
    ended = heard == AgentSession::Heard::END;
    mirror.proceed();
    if (heard == AgentSession::Heard::NOTHING) continue;
    // An agent that answers faster has no reason that is good.
    std::this_thread::sleep_until(answered + MIN_BETWEEN_ANSWERS);
    answered = std::chrono::steady_clock::now();
  }
  mirror.close();
}

}  // namespace pibrain
