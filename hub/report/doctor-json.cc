#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

namespace {

void fillChecks(const std::vector<Check>& checks, capnp::List<report::Doctor::Check>::Builder out) {
  for (uint32_t i = 0; i < out.size(); ++i) {
    out[i].setStep(checks[i].step.c_str());
    out[i].setState(toString(checks[i].state));
    out[i].setDetail(toUtf8(checks[i].detail).c_str());
    fill(checks[i].failure, out[i].initFailure());
  }
}

}  // namespace

std::string doctorJson(const Diagnosis& hub, const std::vector<Diagnosis>& spokes, bool ok) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::Doctor>();
  out.setOk(ok);
  fillChecks(hub.checks, out.initHub(uint32_t(hub.checks.size())));
  auto list = out.initSpokes(uint32_t(spokes.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    list[i].setName(spokes[i].name.c_str());
    auto& checks = spokes[i].checks;
    fillChecks(checks, list[i].initChecks(uint32_t(checks.size())));
  }
  return toJson(out.asReader());
}

}  // namespace pibrain
