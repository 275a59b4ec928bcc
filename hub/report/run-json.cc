#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

namespace {

void fillSpoke(const SpokeReport& report, bool changes, report::Run::Spoke::Builder out) {
  out.setName(report.name.c_str());
  out.setOutcome(toString(report.outcome));
  out.setError(toUtf8(report.error()).c_str());
  fill(report.failure, out.initFailure());
  out.setTransport(toUtf8(report.transport).c_str());
  auto deferred = out.initDeferred(uint32_t(report.deferred.size()));
  for (uint32_t i = 0; i < deferred.size(); ++i) deferred.set(i, toUtf8(report.deferred[i]));
  auto warnings = out.initWarnings(uint32_t(report.warnings.size()));
  for (uint32_t i = 0; i < warnings.size(); ++i)
    warnings.set(i, toUtf8(report.warnings[i]).c_str());
  fillCounts(report.counts, out.initCounts());
  out.setSeconds(secondsOf(report));
  out.setBytesGrown(double(report.bytesGrown));
  out.setBytesLiteral(double(report.bytesLiteral));
  out.setWireUp(double(report.wire.up));
  out.setWireDown(double(report.wire.down));
  auto list = out.initChanges(changes ? uint32_t(report.changes.size()) : 0);
  for (uint32_t i = 0; i < list.size(); ++i) {
    auto& change = report.changes[i];
    list[i].setKind(toString(change.kind));
    list[i].setPath(toUtf8(change.path).c_str());
    list[i].setPathBytes(exactPath(change.path).c_str());
    list[i].setFrom(toUtf8(change.from).c_str());
    list[i].setFromBytes(exactPath(change.from).c_str());
    list[i].setSize(double(change.size));
    list[i].setAdded(double(change.added));
  }
}

}  // namespace

std::string runJson(const std::vector<SpokeReport>& reports, const RunDocument& options) {
  capnp::MallocMessageBuilder message;
  auto run = message.initRoot<report::Run>();
  run.setOk(options.ok);
  run.setDryRun(options.dryRun);
  auto spokes = run.initSpokes(uint32_t(reports.size()));
  for (uint32_t i = 0; i < spokes.size(); ++i) {
    fillSpoke(reports[i], options.changes, spokes[i]);
  }
  return toJson(run.asReader());
}

}  // namespace pibrain
