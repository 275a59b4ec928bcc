#pragma once

#include <kj/async-io.h>

#include <memory>

#include "hub/agent/agent-session.h"
#include "hub/agent/live-files.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/live-requests.h"
#include "hub/pass/live.h"
#include "hub/pass/options.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Keeps the mirror of one spoke up to date over one connection: a scan, then what the agent tells,
// and a scan again whenever only that can show what there is, and every quarter of an hour (P9).
class LiveSync {
 public:
  // All must outlive this; `store`: null: nothing is remembered. `requests`: passes that others ask
  // for, which this does as soon as it is connected.
  LiveSync(const Config& config, const SpokeConfig& spoke, const RunOptions& options, Store* store,
           LiveObserver& observer, LiveRequests& requests)
      : config_(config),
        spoke_(spoke),
        options_(options),
        store_(store),
        observer_(observer),
        requests_(requests) {}

  // Connects, and throws Failure when the connection cannot be made, or breaks. Returns when
  // `requests` says that the connection must end.
  void run();

  // Returns the request that run() had begun when it threw; null: none.
  std::shared_ptr<PassRequest> unanswered() const { return request_; }

 private:
  using Time = kj::TimePoint;

  // Scans and transfers, once the mirror is free, as request_ asks if there is one.
  void pass(AgentSession& session, Connector& connector, LiveFiles& files);
  // Returns LOCKED at once if another process has the mirror.
  SpokeReport passOnce(AgentSession& session, Connector& connector, LiveFiles& files);
  // Waits for changes and mirrors them, until a scan is due or something is asked for.
  void watch(AgentSession& session, LiveFiles& files, kj::AsyncIoContext& io);
  Time nextScan(bool needed) const;

  const Config& config_;
  const SpokeConfig& spoke_;
  const RunOptions& options_;
  Store* const store_;
  LiveObserver& observer_;
  LiveRequests& requests_;
  std::shared_ptr<PassRequest> request_;  // in hand; null: none
  Time scanned_ = kj::origin<Time>();     // when the last pass ended
  kj::Duration took_ = 0 * kj::SECONDS;   // how long its scan took
  bool outdated_ = false;                 // the mirror may lack what the last scan saw
  bool failed_ = false;                   // the last pass could not sync all
};

}  // namespace pibrain
