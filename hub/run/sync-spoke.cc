#include "hub/run/sync-spoke.h"

#include <chrono>
#include <string>
#include <thread>

#include "hub/agent/sync.h"
#include "hub/rsync/sync.h"
#include "hub/run/outcome.h"

namespace pibrain {

namespace {

// How often to check whether the other run has ended.
constexpr std::chrono::milliseconds LOOK_AGAIN(200);

}  // namespace

SpokeReport syncSpoke(const Config& config, const SpokeConfig& spoke, const RunOptions& options,
                      Store* store, std::unique_ptr<Connector> connector, Progress& progress) {
  auto attempt = [&]() {
    SpokeReport report;
    reportOutcome(spoke, report, [&]() {
      if (spoke.method == SyncMethod::RSYNC) {
        syncByRsync(config, spoke, options, store, report, progress);
      } else {
        syncByAgent(config, spoke, options, store, std::move(connector), report, progress);
      }
    });
    return report;
  };
  auto begun = std::chrono::steady_clock::now();
  auto report = attempt();
  // The first attempt closed its connection, so none is held while waiting.
  while (report.outcome == Outcome::LOCKED &&
         std::chrono::steady_clock::now() - begun < options.wait) {
    progress.phase = Progress::Phase::WAITING;
    std::this_thread::sleep_for(LOOK_AGAIN);
    report = attempt();
  }
  progress.phase = Progress::Phase::ENDED;
  if (store != nullptr && !options.dryRun && report.outcome != Outcome::LOCKED) {
    auto status = store->recordRun(report);
    if (!status.ok()) report.warnings.push_back(std::string(status.message()));
  }
  return report;
}

}  // namespace pibrain
