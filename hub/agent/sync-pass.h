#pragma once

#include <kj/function.h>
#include <kj/memory.h>

#include "hub/agent/agent-session.h"
#include "hub/agent/live-files.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// One scan, plan and transfer, which bring the mirror up to date. All functions throw Failure
// or KJ exceptions.
class SyncPass {
 public:
  // Locks the mirror, and starts to walk it in another thread while the session connects, so that
  // the walk costs no time. The pass has its own run in the archive. `store` (null: none) and all
  // other arguments must outlive this.
  SyncPass(const Config& config, const SpokeConfig& spoke, const RunOptions& options, Store* store,
           SpokeReport& report, Progress& progress);
  ~SyncPass() noexcept(false);

  // Lets `files` remember what run() fetches.
  void remember(LiveFiles& files);
  // Must be called once, within session.converse(). Calls `answered` when the listing has arrived.
  void run(AgentSession& session, kj::FunctionParam<void()> answered);
  // Returns whether files changed on the spoke between two scans that run() made: then the
  // session's ids are those of the second, but the mirror may be as the first.
  bool outdated() const;

 private:
  class Impl;
  kj::Own<Impl> impl_;
};

}  // namespace pibrain
