#include "hub/agent/live-sync.h"

#include <kj/async-io.h>
#include <kj/debug.h>
#include <kj/time.h>

#include <algorithm>
#include <chrono>
#include <thread>

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
  connect.limiter = options_.limiter;
  if (connect.limiter == nullptr && spoke_.bwLimit > 0) {
    connect.limiter = std::make_shared<RateLimiter>(spoke_.bwLimit * 1024.0);
  }
  AgentSession session(spoke_, *connector, std::move(connect), io,
                       AgentSession::limitsOf(spoke_, config_.hub));
  LiveFiles files;
  session.converse([&]() {
    for (;;) {
      observer_.entered(LiveState::SCANNING, "");
      files.forgetIds();
      pass(session, *connector, files);
      watch(session, files);
    }
  });
}

void LiveSync::pass(AgentSession& session, Connector& connector, LiveFiles& files) {
  for (;;) {
    SpokeReport report;
    report.name = spoke_.name;
    report.started = wallClockNanos();
    auto began = now();
    auto wireBefore = session.wire();
    Progress unseen;
    std::optional<Failure> failure;
    try {
      SyncPass pass(config_, spoke_, options_, store_, report, unseen);
      pass.remember(files);
      pass.run(session, [&]() { connector.confirmed(); });
    } catch (const Failure& e) {
      failure = e;
    }
    if (failure && failure->id() == FailureId::MIRROR_IN_USE) {
      std::this_thread::sleep_for(LOOK_AGAIN);
      continue;
    }
    scanned_ = now();
    took_ = scanned_ - began;
    failed_ = failure.has_value();
    report.outcome = failure ? Outcome::FAILED : Outcome::OK;
    report.failure = failure;
    report.finished = report.started + took_ / kj::NANOSECONDS;
    report.wire = {session.wire().up - wireBefore.up, session.wire().down - wireBefore.down};
    observer_.passed(report);
    return;
  }
}

LiveSync::Time LiveSync::nextScan(bool needed) const {
  if (failed_) return scanned_ + MAX_PAUSE;
  if (!needed) return scanned_ + SCAN_AFTER;
  return scanned_ + kj::min(kj::max(SCAN_SHARE * took_, MIN_PAUSE), MAX_PAUSE);
}

void LiveSync::watch(AgentSession& session, LiveFiles& files) {
  if (!session.watches()) {
    observer_.entered(LiveState::POLLING, "its pi-brain-agent is older than this hub");
    while (now() < scanned_ + POLL_AFTER) std::this_thread::sleep_for(LOOK_AGAIN);
    return;
  }
  LiveMirror mirror(config_, spoke_, store_, session, files, observer_);
  session.beginWatch();
  KJ_DEFER(session.endWatch());
  bool ended = false;
  auto answered = std::chrono::steady_clock::now() - MIN_BETWEEN_ANSWERS;
  for (;;) {
    auto due = nextScan(mirror.needsScan() || ended);
    if (now() >= due) break;
    if (ended) {
      mirror.close();
      std::this_thread::sleep_for(LOOK_AGAIN / 10);
      continue;
    }
    auto atMost = kj::min(mirror.dueIn(), due - now() + 5 * kj::MILLISECONDS);
    auto heard =
        session.awaitChanges(atMost, [&](proto::Event::Reader event) { mirror.event(event); });
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
