#include <capnp/message.h>

#include "common/text/format.h"
#include "common/text/utf8.h"
#include "hub/report/documents.h"
#include "hub/report/json.h"

namespace pibrain {

std::string watchJson(const WatchLine& line) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::WatchLine>();
  out.setSpoke(line.spoke.c_str());
  out.setTime(formatTime(line.time).c_str());
  out.setEvent(line.event.c_str());
  out.setWhy(toUtf8(line.why).c_str());
  static const LiveChange NONE{};
  auto& change = line.change == nullptr ? NONE : *line.change;
  out.setPath(toUtf8(change.path).c_str());
  out.setPathBytes(exactPath(change.path).c_str());
  out.setKind(line.change == nullptr ? "" : toString(change.kind));
  out.setFrom(double(change.from));
  out.setTo(double(change.to));
  out.setWrittenNs(change.written == 0 ? "" : std::to_string(change.written).c_str());
  out.setMirroredNs(change.mirrored == 0 ? "" : std::to_string(change.mirrored).c_str());
  fill(line.failure, out.initFailure());
  return toJson(out.asReader());
}

}  // namespace pibrain
