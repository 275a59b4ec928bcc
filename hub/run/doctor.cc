#include "hub/run/doctor.h"

#include <absl/strings/str_cat.h>

#include "hub/base/parallel.h"
#include "hub/pass/options.h"
#include "hub/run/doctor-parts.h"
#include "hub/run/libraries.h"

namespace pibrain {

namespace {

void examineSpoke(const Config& config, const SpokeConfig& spoke,
                  const std::shared_ptr<Passphrases>& passphrases, Store* store,
                  Checklist& checks) {
  checks.at("config");
  if (!spoke.enabled) return checks.skip(*reasonToSkip(spoke));
  checks.good(absl::StrCat(toString(spoke.method), ", ",
                           spoke.sourceText.empty() ? "no source" : spoke.sourceText));
  switch (spoke.method) {
    case SyncMethod::AGENT:
      checks.attempt(spoke, [&]() { examineAgent(config, spoke, passphrases, store, checks); });
      break;
    case SyncMethod::RSYNC:
      checks.attempt(spoke, [&]() { examineByRsync(config, spoke, passphrases, store, checks); });
      break;
    case SyncMethod::SYNCTHING:
      break;
  }
  examineMirror(spoke, checks);
  examineRoom(config, spoke, checks);
  if (spoke.method != SyncMethod::SYNCTHING) examineLastRun(spoke, store, checks);
}

}  // namespace

std::vector<Diagnosis> examineSpokes(const Config& config,
                                     const std::vector<const SpokeConfig*>& spokes,
                                     std::shared_ptr<Passphrases> passphrases, Store* store,
                                     const DoctorEvents& events) {
  initLibraries();
  std::vector<Diagnosis> found(spokes.size());
  forEachInParallel(found.size(), USUAL_JOBS, [&](size_t i) {
    found[i].name = spokes[i]->name;
    Checklist checks(found[i], [&](const Check& check) { events.checked(i, check); });
    examineSpoke(config, *spokes[i], passphrases, store, checks);
    events.ended(i);
  });
  return found;
}

}  // namespace pibrain
