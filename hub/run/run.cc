#include "hub/run/run.h"

#include <absl/strings/str_cat.h>
#include <kj/exception.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>

#include "hub/base/parallel.h"
#include "hub/run/sync-spoke.h"
#include "hub/ssh/turns.h"

namespace pibrain {

SyncRun::SyncRun(const Config& config, std::vector<const SpokeConfig*> spokes, RunOptions options)
    : config_(config),
      spokes_(std::move(spokes)),
      options_(std::move(options)),
      reaches_(spokes_.size()),
      progress_(spokes_.size()) {
  for (size_t i = 0; i < std::min<size_t>(options_.jobs, spokes_.size()); ++i) {
    if (spokes_[i]->method != SyncMethod::AGENT) continue;
    // What fails here fails again in its turn, and is reported there.
    kj::runCatchingExceptions([&]() { reaches_[i] = std::make_unique<SpokeReach>(*spokes_[i]); });
  }
}

SyncRun::~SyncRun() noexcept(false) {}

void SyncRun::dialEarly(Store& store) {
  // Those who have to wait for their turn would be connections that nobody logs in with.
  std::map<std::string, int> begun;
  auto mayDial = [&](const Endpoint& to) {
    return begun[absl::StrCat(to.address, " ", to.port)]++ < ConnectTurn::MOST;
  };
  for (auto& reach : reaches_) {
    if (reach != nullptr) reach->dialEarly(store, mayDial);
  }
}

std::vector<SpokeReport> SyncRun::finish(Store* store, const RunObserver& observer) {
  std::vector<SpokeReport> reports(spokes_.size());
  std::mutex observing;
  forEachInParallel(spokes_.size(), options_.jobs, [&](size_t i) {
    {
      std::lock_guard lock(observing);
      observer.began(*spokes_[i], progress_[i]);
    }
    reports[i] =
        syncSpoke(config_, *spokes_[i], options_, store, std::move(reaches_[i]), progress_[i]);
    std::lock_guard lock(observing);
    observer.ended(reports[i]);
  });
  return reports;
}

}  // namespace pibrain
