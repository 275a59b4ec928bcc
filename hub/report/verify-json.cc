#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

namespace {

void fillSpoke(const Verification& result, report::Verify::Spoke::Builder out) {
  auto& report = result.report;
  out.setName(report.name.c_str());
  out.setOutcome(toString(report.outcome));
  out.setError(toUtf8(report.error()).c_str());
  fill(report.failure, out.initFailure());
  auto warnings = out.initWarnings(uint32_t(report.warnings.size()));
  for (uint32_t i = 0; i < warnings.size(); ++i) {
    warnings.set(i, toUtf8(report.warnings[i]).c_str());
  }
  out.setFiles(result.files);
  out.setBytes(double(result.bytes));
  out.setExtra(result.extra);
  out.setUnread(result.unread);
  auto differences = out.initDifferences(uint32_t(result.differences.size()));
  for (uint32_t i = 0; i < differences.size(); ++i) {
    auto& difference = result.differences[i];
    differences[i].setPath(toUtf8(difference.path).c_str());
    differences[i].setPathBytes(exactPath(difference.path).c_str());
    differences[i].setKind(toString(difference.kind));
    differences[i].setSize(double(difference.size));
    differences[i].setMirrorSize(double(difference.mirrorSize));
    if (difference.offset) differences[i].setOffset(double(*difference.offset));
    differences[i].setBlockLength(difference.blockLength);
  }
  out.setRepaired(result.repaired);
  out.setSeconds(secondsOf(report));
  out.setWireUp(double(report.wire.up));
  out.setWireDown(double(report.wire.down));
}

}  // namespace

std::string verifyJson(const std::vector<Verification>& results, bool ok) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::Verify>();
  out.setOk(ok);
  auto spokes = out.initSpokes(uint32_t(results.size()));
  for (uint32_t i = 0; i < spokes.size(); ++i) fillSpoke(results[i], spokes[i]);
  return toJson(out.asReader());
}

}  // namespace pibrain
