#include "hub/agent/unreadable.h"

#include <kj/debug.h>

#include <unordered_map>

namespace pibrain {

std::vector<std::pair<std::string, proto::Reason>> unreadableFiles(
    AgentSession& session, const std::vector<RemoteFile>& files) {
  if (!session.hashesBeginnings()) return {};
  std::vector<uint32_t> ids;
  std::unordered_map<uint32_t, const std::string*> asked;
  for (auto& file : files) {
    ids.push_back(file.id);
    asked.emplace(file.id, &file.path);
  }
  std::vector<uint64_t> lengths(ids.size(), 1);
  std::vector<std::pair<std::string, proto::Reason>> found;
  auto take = [&](proto::Event::Reader event) {
    KJ_REQUIRE(event.isRefused() || event.isDigest(),
               "an event that does not belong among digests");
    auto id = event.isRefused() ? event.getRefused().getFile() : event.getDigest().getFile();
    auto one = asked.find(id);
    KJ_REQUIRE(one != asked.end(), "an answer to what was not asked", id);
    if (event.isRefused() && event.getRefused().getReason() != proto::Reason::VANISHED) {
      found.emplace_back(*one->second, event.getRefused().getReason());
    }
    asked.erase(one);
  };
  session.digests(kj::arrayPtr(ids.data(), ids.size()), take,
                  kj::arrayPtr(lengths.data(), lengths.size()));
  return found;
}

}  // namespace pibrain
