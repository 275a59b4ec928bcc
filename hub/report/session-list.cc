#include "hub/report/documents.h"

#include <capnp/message.h>

#include "common/text/utf8.h"
#include "hub/mirror/contents.h"
#include "hub/report/json.h"

namespace pibrain {

std::vector<SessionsOfSpoke> listSessions(const std::vector<const SpokeConfig*>& spokes,
                                          bool fullPaths,
                                          const std::function<void(const std::string&)>& warn) {
  std::vector<SessionsOfSpoke> all;
  for (auto* spoke : spokes) {
    all.push_back({spoke, mirrorContents(spoke->path, warn).sessions});
    if (!fullPaths) continue;
    for (auto& session : all.back().sessions) session = spoke->path + "/" + session;
  }
  return all;
}

std::string sessionListJson(const std::vector<SessionsOfSpoke>& all) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<report::SessionList>().initSpokes(uint32_t(all.size()));
  for (uint32_t i = 0; i < out.size(); ++i) {
    out[i].setName(all[i].spoke->name.c_str());
    out[i].setSyncMethod(toString(all[i].spoke->method));
    out[i].setPath(toUtf8(all[i].spoke->path).c_str());
    out[i].setPathBytes(exactPath(all[i].spoke->path).c_str());
    auto sessions = out[i].initSessions(uint32_t(all[i].sessions.size()));
    auto exact = out[i].initSessionsBytes(sessions.size());
    for (uint32_t k = 0; k < sessions.size(); ++k) {
      sessions.set(k, toUtf8(all[i].sessions[k]).c_str());
      exact.set(k, exactPath(all[i].sessions[k]).c_str());
    }
  }
  return toJson(message.getRoot<report::SessionList>().asReader());
}

}  // namespace pibrain
