#include "spoke-agent/answers/fork.h"

#include "common/fs/rooted-dir.h"

namespace pibrain {

std::string_view parentNamedIn(std::string_view beginning) {
  auto header = beginning.substr(0, beginning.find('\n'));
  for (std::string_view key : {"\"parentSession\":\"", "\"branchedFrom\":\""}) {
    auto found = header.find(key);
    if (found == std::string_view::npos) continue;
    auto value = header.substr(found + key.size());
    auto end = value.find('"');
    // pi writes JSON without spaces. A path with an escape in it is not parsed: such a fork is sent
    // like any other file.
    if (end != std::string_view::npos) return value.substr(0, end);
  }
  return {};
}

kj::Maybe<uint32_t> findParent(const Tree& tree, std::string_view path,
                               std::string_view directory) {
  for (auto end = path; !end.empty();) {
    KJ_IF_MAYBE(id, tree.idOf(end)) return *id;
    auto slash = end.find('/');
    if (slash == std::string_view::npos) break;
    end.remove_prefix(slash + 1);
  }
  return tree.idOf(joinPath(directory, baseNameOf(path)));
}

}  // namespace pibrain
