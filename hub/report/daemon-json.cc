#include <capnp/message.h>

#include "common/fs/file-times.h"
#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/report/documents.h"
#include "hub/report/json.h"

namespace pibrain {

namespace {

std::string timeOrEmpty(int64_t time) { return time == 0 ? "" : formatTime(time); }

double secondsOrNone(int64_t nanos) { return nanos < 0 ? -1 : double(nanos) / 1e9; }

void fillSpoke(const LiveStatus& spoke, report::DaemonStatus::Spoke::Builder out) {
  out.setName(spoke.name.c_str());
  out.setState(shownState(spoke));
  out.setWhy(toUtf8(spoke.why).c_str());
  out.setSince(timeOrEmpty(spoke.since).c_str());
  out.setLastChange(timeOrEmpty(spoke.lastChange).c_str());
  out.setDurableUpTo(formatTime(spoke.unflushed == 0 ? wallClockNanos() : spoke.unflushed).c_str());
  out.setLastScan(timeOrEmpty(spoke.lastPass).c_str());
  out.setLagSecondsP50(secondsOrNone(spoke.lagP50));
  out.setLagSecondsP99(secondsOrNone(spoke.lagP99));
  out.setNextAttempt(timeOrEmpty(spoke.nextAttempt).c_str());
  fill(spoke.failure, out.initFailure());
}

}  // namespace

std::string daemonJson(const DaemonDocument& daemon, const std::vector<LiveStatus>& spokes) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::DaemonStatus>();
  out.setPid(uint32_t(daemon.pid));
  out.setVersion(daemon.version.c_str());
  out.setConfig(toUtf8(daemon.config).c_str());
  out.setConfigBytes(exactPath(daemon.config).c_str());
  out.setStarted(formatTime(daemon.started).c_str());
  fill(daemon.configFailure, out.initConfigFailure());
  auto list = out.initSpokes(uint32_t(spokes.size()));
  for (uint32_t i = 0; i < list.size(); ++i) fillSpoke(spokes[i], list[i]);
  return toJson(out.asReader());
}

}  // namespace pibrain
