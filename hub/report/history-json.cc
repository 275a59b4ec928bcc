#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

std::string historyJson(const std::vector<SpokeReport>& runs) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<report::History>().initRuns(uint32_t(runs.size()));
  for (uint32_t i = 0; i < list.size(); ++i) {
    auto& run = runs[i];
    auto out = list[i];
    out.setSpoke(run.name.c_str());
    out.setStarted(formatTime(run.started).c_str());
    out.setFinished(formatTime(run.finished).c_str());
    out.setLive(run.liveHour);
    out.setOk(run.outcome == Outcome::OK);
    out.setError(toUtf8(run.error()).c_str());
    fill(run.failure, out.initFailure());
    fillCounts(run.counts, out.initCounts());
    out.setSeconds(secondsOf(run));
    out.setBytesGrown(double(run.bytesGrown));
    out.setBytesLiteral(double(run.bytesLiteral));
    out.setWireUp(double(run.wire.up));
    out.setWireDown(double(run.wire.down));
  }
  return toJson(message.getRoot<report::History>().asReader());
}

}  // namespace pibrain
