#include "hub/run/doctor.h"

#include <absl/strings/str_cat.h>

#include "hub/run/doctor-parts.h"

namespace pibrain {

Diagnosis examineSpoke(const Config& config, const SpokeConfig& spoke,
                       std::shared_ptr<Passphrases> passphrases, Store* store) {
  Diagnosis diagnosis;
  diagnosis.name = spoke.name;
  Checklist checks(diagnosis);
  checks.at("config");
  if (!spoke.enabled) {
    checks.skip("disabled ('enabled: false')");
    return diagnosis;
  }
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
  return diagnosis;
}

}  // namespace pibrain
