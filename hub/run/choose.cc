#include "hub/run/choose.h"

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <optional>

namespace pibrain {

bool isDue(const SpokeConfig& spoke, Store* store) {
  std::optional<absl::Time> lastRun;
  if (store != nullptr) {
    auto runs = store->lastRuns(spoke.name);
    if (runs.ok() && runs->lastGoodStarted) lastRun = absl::FromUnixNanos(*runs->lastGoodStarted);
  }
  auto schedule = spoke.schedule ? *spoke.schedule : *Schedule::parse(USUAL_SCHEDULE);
  return schedule.due(lastRun, absl::Now(), absl::LocalTimeZone());
}

SpokeReport skipped(const SpokeConfig& spoke, std::string why) {
  SpokeReport report;
  report.name = spoke.name;
  report.outcome = Outcome::SKIPPED;
  report.skipped = std::move(why);
  return report;
}

Chosen chooseSpokes(const std::vector<const SpokeConfig*>& spokes) {
  Chosen chosen;
  for (auto* spoke : spokes) {
    if (auto why = reasonToSkip(*spoke)) {
      chosen.skipped.push_back(skipped(*spoke, std::move(*why)));
    } else {
      chosen.spokes.push_back(spoke);
    }
  }
  return chosen;
}

Chosen chooseDue(const std::vector<const SpokeConfig*>& spokes, Store* store) {
  Chosen chosen;
  for (auto* spoke : spokes) {
    if (!reasonToSkip(*spoke) && isDue(*spoke, store)) chosen.spokes.push_back(spoke);
  }
  return chosen;
}

}  // namespace pibrain
