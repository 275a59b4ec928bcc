#include "hub/agent/sync.h"

#include <kj/async-io.h>
#include <kj/debug.h>

#include "hub/agent/agent-session.h"
#include "hub/agent/reporting.h"
#include "hub/agent/sync-pass.h"

namespace pibrain {

namespace {

ConnectOptions connectOptionsOf(const SpokeConfig& spoke, const RunOptions& options,
                                SpokeReport& report) {
  auto result = reportingTo(report, options.passphrases);
  result.limiter = options.limiter;
  if (result.limiter == nullptr && spoke.bwLimit > 0) {
    result.limiter = std::make_shared<RateLimiter>(spoke.bwLimit * 1024.0);
  }
  return result;
}

}  // namespace

void syncByAgent(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                 Store* store, std::unique_ptr<Connector> connector, SpokeReport& report,
                 Progress& progress) {
  if (connector == nullptr) connector = connectorTo(spoke, store);
  auto io = kj::setupAsyncIo();
  SyncPass pass(config, spoke, options, store, report, progress);
  progress.phase = Progress::Phase::CONNECTING;
  AgentSession session(spoke, *connector, connectOptionsOf(spoke, options, report), io,
                       AgentSession::limitsOf(spoke, config.hub));
  KJ_DEFER(report.wire = session.wire());
  session.converse([&]() {
    pass.run(session, [&]() {
      if (!options.dryRun) connector->confirmed();
    });
  });
}

}  // namespace pibrain
