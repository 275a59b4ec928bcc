#include "hub/run/verify.h"

#include <mutex>

#include "hub/agent/verify.h"
#include "hub/base/parallel.h"
#include "hub/rsync/sync.h"
#include "hub/run/choose.h"
#include "hub/run/libraries.h"
#include "hub/run/outcome.h"

namespace pibrain {

Verification verifySpoke(const Config& config, const SpokeConfig& spoke,
                         const VerifyOptions& options, Store* store) {
  Verification result;
  if (auto why = reasonToSkip(spoke)) {
    result.report = skipped(spoke, std::move(*why));
    return result;
  }
  reportOutcome(spoke, result.report, [&]() {
    if (spoke.method == SyncMethod::RSYNC) {
      verifyByRsync(config, spoke, options.repair, store, result);
    } else {
      verifyByAgent(config, spoke, options, store, result);
    }
  });
  return result;
}

std::vector<Verification> verifySpokes(
    const Config& config, const std::vector<const SpokeConfig*>& spokes,
    const VerifyOptions& options, Store* store,
    const std::function<void(const SpokeConfig&, const Verification&)>& ended) {
  initLibraries();
  std::vector<Verification> results(spokes.size());
  std::mutex ending;
  forEachInParallel(results.size(), USUAL_JOBS, [&](size_t i) {
    results[i] = verifySpoke(config, *spokes[i], options, store);
    std::lock_guard lock(ending);
    ended(*spokes[i], results[i]);
  });
  return results;
}

}  // namespace pibrain
