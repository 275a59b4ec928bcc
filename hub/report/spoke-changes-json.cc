#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

std::string spokeChangesJson(const std::vector<SpokeChange>& changes, bool ok, bool dryRun) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::SpokeChanges>();
  out.setOk(ok);
  out.setDryRun(dryRun);
  auto spokes = out.initSpokes(uint32_t(changes.size()));
  for (uint32_t i = 0; i < spokes.size(); ++i) {
    auto& change = changes[i];
    spokes[i].setName(change.name.c_str());
    spokes[i].setTarget(toUtf8(change.target).c_str());
    spokes[i].setOutcome(change.outcome.c_str());
    spokes[i].setError(toUtf8(change.error()).c_str());
    fill(change.failure, spokes[i].initFailure());
    spokes[i].setArchitecture(toUtf8(change.architecture).c_str());
    spokes[i].setAgent(toUtf8(change.agent).c_str());
    spokes[i].setLine(toUtf8(change.line).c_str());
    spokes[i].setVersion(toUtf8(change.version).c_str());
    spokes[i].setFormerVersion(toUtf8(change.formerVersion).c_str());
    auto said = spokes[i].initSaid(uint32_t(change.said.size()));
    for (uint32_t k = 0; k < said.size(); ++k) said.set(k, toUtf8(change.said[k]).c_str());
    spokes[i].setSeconds(double(change.finished - change.started) / 1e9);
  }
  return toJson(out.asReader());
}

}  // namespace pibrain
