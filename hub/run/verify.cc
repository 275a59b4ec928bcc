#include "hub/run/verify.h"

#include "hub/agent/verify.h"
#include "hub/rsync/sync.h"
#include "hub/run/choose.h"
#include "hub/run/outcome.h"

namespace pibrain {

Verification verifySpoke(const Config& config, const SpokeConfig& spoke,
                         const VerifyOptions& options, Store* store) {
  Verification result;
  auto why = reasonToSkip(spoke);
  if (!why.empty()) {
    result.report = skipped(spoke, std::move(why));
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

}  // namespace pibrain
