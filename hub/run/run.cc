#include "hub/run/run.h"

#include <absl/strings/str_cat.h>
#include <kj/exception.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "hub/base/parallel.h"
#include "hub/connect/connector.h"
#include "hub/run/libraries.h"
#include "hub/run/sync-spoke.h"
#include "hub/ssh/turns.h"

namespace pibrain {

namespace {

// A file is whole once it has been at rest for 10 s (P4).
constexpr std::chrono::seconds UNTIL_WHOLE(15), BETWEEN_TRIES(1);

using Connectors = std::vector<std::unique_ptr<Connector>>;

// Starts the connectors of the spokes whose turn comes first. Starts no thread.
Connectors makeConnectors(const std::vector<const SpokeConfig*>& spokes, size_t jobs, Store* store,
                          const std::set<std::string>& delegated) {
  // Spokes that must wait for their turn would keep connections open without logging in.
  std::map<std::string, int> begun;
  auto mayDial = [&](const Endpoint& to) {
    return begun[absl::StrCat(to.address, " ", to.port)]++ < ConnectTurn::MOST;
  };
  Connectors connectors(spokes.size());
  for (size_t i = 0; i < std::min(jobs, spokes.size()); ++i) {
    if (spokes[i]->method != SyncMethod::AGENT || delegated.contains(spokes[i]->name)) continue;
    // A failure repeats when the spoke has its turn, and is reported then.
    kj::runCatchingExceptions([&]() { connectors[i] = connectorTo(*spokes[i], store, mayDial); });
  }
  return connectors;
}

}  // namespace

void limitBandwidth(RunOptions& options, uint32_t kibPerSecond, size_t spokes) {
  options.limiter = std::make_shared<RateLimiter>(kibPerSecond * 1024.0);
  // Separate rsync processes cannot share one limiter, so each gets a share.
  auto atATime = std::max<size_t>(1, std::min<size_t>(spokes, options.jobs));
  options.rsyncBwLimit = uint32_t(std::max<size_t>(1, kibPerSecond / atATime));
}

std::vector<SpokeReport> syncSpokes(const Config& config,
                                    const std::vector<const SpokeConfig*>& spokes,
                                    const RunOptions& options, Store* store,
                                    const RunObserver& observer,
                                    const std::set<std::string>& delegated,
                                    const Delegate& delegate) {
  auto connectors = makeConnectors(spokes, options.jobs, store, delegated);
  initLibraries();
  std::vector<Progress> progress(spokes.size());
  std::vector<SpokeReport> reports(spokes.size());
  std::mutex observing;
  forEachInParallel(spokes.size(), options.jobs, [&](size_t i) {
    {
      std::lock_guard lock(observing);
      observer.began(*spokes[i], progress[i]);
    }
    auto sync = [&]() {
      std::optional<SpokeReport> report;
      if (delegated.contains(spokes[i]->name)) report = delegate(*spokes[i], progress[i]);
      if (report) return *report;
      return syncSpoke(config, *spokes[i], options, store, std::move(connectors[i]), progress[i]);
    };
    reports[i] = sync();
    auto until = std::chrono::steady_clock::now() + UNTIL_WHOLE;
    while (options.untilWhole && reports[i].counts.deferred > 0 &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(BETWEEN_TRIES);
      reports[i] = sync();
    }
    std::lock_guard lock(observing);
    observer.ended(reports[i]);
  });
  return reports;
}

}  // namespace pibrain
