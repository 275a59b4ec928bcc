#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/fs/file-times.h"
#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/report/json.h"

namespace pibrain {

std::string statusJson(const Config& config, const Status& status) {
  int64_t now = wallClockNanos();
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::Status>();
  out.setHubName(toUtf8(status.hubName).c_str());
  out.setHubSessionsDir(toUtf8(config.hub.sessionsDir).c_str());
  out.setHubSessionsDirBytes(exactPath(config.hub.sessionsDir).c_str());
  out.setHubSessionCount(status.hubSessions);
  out.setRsyncAvailable(status.rsyncAvailable);
  out.setTotalSpokeSessionCount(status.total);
  auto spokes = out.initSpokes(uint32_t(status.spokes.size()));
  for (uint32_t i = 0; i < spokes.size(); ++i) {
    auto& spoke = status.spokes[i];
    spokes[i].setName(spoke.config->name.c_str());
    spokes[i].setSyncMethod(toString(spoke.config->method));
    spokes[i].setPath(toUtf8(spoke.config->path).c_str());
    spokes[i].setPathBytes(exactPath(spoke.config->path).c_str());
    spokes[i].setSource(toUtf8(spoke.config->sourceText).c_str());
    spokes[i].setEnabled(spoke.config->enabled);
    spokes[i].setExists(spoke.exists);
    spokes[i].setSessionCount(spoke.sessions);
    auto last = spoke.runs.lastGood;
    spokes[i].setLastSync(last ? formatTime(*last).c_str() : "");
    spokes[i].setLastSyncFormatted(last ? formatAgo(*last, now).c_str() : "");
    spokes[i].setArchiveBytes(double(spoke.archiveBytes));
    spokes[i].setMirrorBytes(double(spoke.bytes));
    spokes[i].setMirrorFiles(spoke.files);
    spokes[i].setLastRun(spoke.runs.last ? formatTime(spoke.runs.last->finished).c_str() : "");
    if (auto lag = spoke.lag(now)) spokes[i].setLagSeconds(double(*lag) / 1e9);
    spokes[i].setSchedule(spoke.config->scheduleText.c_str());
    spokes[i].setLastError(toUtf8(spoke.runs.lastError()).c_str());
    fill(spoke.runs.lastFailure, spokes[i].initLastFailure());
    spokes[i].setLive(spoke.live ? shownState(*spoke.live) : "");
    spokes[i].setState(toString(spoke.state(wallClockNanos())));
  }
  return toJson(out.asReader());
}

}  // namespace pibrain
