#include "hub/run/sync-spoke.h"

#include <string>

#include "hub/agent/sync.h"
#include "hub/rsync/sync.h"
#include "hub/run/outcome.h"

namespace pibrain {

SpokeReport syncSpoke(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                      Store* store, std::unique_ptr<Connector> connector, Progress& progress) {
  SpokeReport report;
  reportOutcome(spoke, report, [&]() {
    if (spoke.method == SyncMethod::RSYNC) {
      syncByRsync(config, spoke, options, store, report, progress);
    } else {
      syncByAgent(config, spoke, options, store, std::move(connector), report, progress);
    }
  });
  progress.phase = Progress::Phase::ENDED;
  if (store != nullptr && !options.dryRun && report.outcome != Outcome::LOCKED) {
    auto status = store->recordRun(report);
    if (!status.ok()) report.warnings.push_back(std::string(status.message()));
  }
  return report;
}

}  // namespace pibrain
