#include "hub/agent/sync.h"

#include <kj/async-io.h>
#include <kj/debug.h>

#include "hub/agent/agent-session.h"
#include "hub/agent/sync-pass.h"

namespace pibrain {

namespace {

ConnectOptions connectOptionsOf(const SpokeConfig& spoke, const RunOptions& options,
                                SpokeReport& report) {
  ConnectOptions result;
  result.passphrases = options.passphrases;
  result.limiter = options.limiter;
  if (result.limiter == nullptr && spoke.bwLimit > 0) {
    result.limiter = std::make_shared<RateLimiter>(spoke.bwLimit * 1024.0);
  }
  result.warn = [&](std::string text) { report.warnings.push_back(std::move(text)); };
  result.chose = [&](std::string which) { report.transport = std::move(which); };
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
  auto connection = connector->connect(connectOptionsOf(spoke, options, report), io);
  AgentSession session(spoke, kj::mv(connection), io, AgentSession::limitsOf(spoke, config.hub));
  KJ_DEFER(report.wire = session.wire());
  session.converse([&]() {
    pass.run(session, [&]() {
      if (!options.dryRun) connector->confirmed();
    });
  });
}

}  // namespace pibrain
