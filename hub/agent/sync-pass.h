#pragma once

#include <kj/function.h>
#include <kj/memory.h>

#include "hub/agent/agent-session.h"
#include "hub/config/config.h"
#include "hub/history/store.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// One scan, plan and transfer: makes the mirror what the spoke has. Its parts throw Failure,
// Mirror::Locked or KJ exceptions.
class SyncPass {
 public:
  // Takes the mirror's lock, and begins to walk the mirror in a thread of its own: it takes no
  // longer than to connect, so it costs no time. What changes goes to an archive run of its own.
  // `store` (null: none) and all else have to outlive this.
  SyncPass(const Config& config, const SpokeConfig& spoke, const RunOptions& options, Store* store,
           SpokeReport& report, Progress& progress);
  ~SyncPass() noexcept(false);

  // To be called once, within session.converse(). `answered` is called when the listing is there.
  void run(AgentSession& session, kj::FunctionParam<void()> answered);

 private:
  class Impl;
  kj::Own<Impl> impl_;
};

}  // namespace pibrain
