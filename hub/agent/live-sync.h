#pragma once

#include <memory>

#include "hub/agent/agent-session.h"
#include "hub/agent/live-files.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/live.h"
#include "hub/pass/options.h"

namespace pibrain {

// Keeps the mirror of one spoke up to date over one connection: a scan, then what the agent tells,
// and a scan again whenever only that can show what there is, and every quarter of an hour (P9).
class LiveSync {
 public:
  // All must outlive this; `store`: null: nothing is remembered.
  LiveSync(const Config& config, const SpokeConfig& spoke, const RunOptions& options, Store* store,
           LiveObserver& observer)
      : config_(config), spoke_(spoke), options_(options), store_(store), observer_(observer) {}

  // Connects, and throws Failure when the connection cannot be made, or breaks. Does not return.
  void run();

 private:
  using Time = kj::TimePoint;

  // Scans and transfers, once the mirror is free.
  void pass(AgentSession& session, Connector& connector, LiveFiles& files);
  // Waits for changes and mirrors them, until a scan is due.
  void watch(AgentSession& session, LiveFiles& files);
  Time nextScan(bool needed) const;

  const Config& config_;
  const SpokeConfig& spoke_;
  const RunOptions& options_;
  Store* const store_;
  LiveObserver& observer_;
  Time scanned_ = kj::origin<Time>();    // when the last pass ended
  kj::Duration took_ = 0 * kj::SECONDS;  // how long it took
  bool failed_ = false;                  // the last pass could not sync all
};

}  // namespace pibrain
