#pragma once
// The hub's side of a conversation with an agent: hello, a scan, a pull.

#include "hub/agent/plan.h"

#include <algorithm>
#include "hub/agent/agent-session.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

// A mirror of `directories` directories, with a file each.
inline Tree mirrorOf(size_t directories) {
  Tree tree;
  for (size_t i = 0; i < directories; ++i) {
    auto& directory = tree.directories.emplace_back();
    directory.path = "d" + std::to_string(1000 + i);
    directory.names = "file-" + std::to_string(i) + ".jsonl";
    directory.files.push_back({100 + i, OLD, 0, uint16_t(directory.names.size())});
    directory.firstFile = uint32_t(i);
    dropFiles(directory, [](auto&) { return false; });
  }
  tree.files = uint32_t(directories);
  return tree;
}

// A hub sends few digests with its first scan, but not many.
inline const Tree& mirrorFor(bool large) {
  static const Tree few = mirrorOf(3), many = mirrorOf(401);
  return large ? many : few;
}

inline std::vector<Want> wantsFor(const Plan& plan) {
  constexpr size_t MAX_WANTS = 8;
  std::vector<Want> wants;
  for (size_t i = 0; i < std::min(plan.files.size(), MAX_WANTS); ++i) {
    Want want;
    want.file = plan.files[i].remote.id;
    want.kind = i % 2 == 0 ? Want::Kind::NEW : Want::Kind::PREFIX;
    want.prefixHash = digestOfText("");
    wants.push_back(kj::mv(want));
  }
  return wants;
}

inline void converse(kj::Own<Connection> connection, const Tree& mirror) {
  auto known = summarizeMirror(mirror, {});
  SpokeConfig spoke;
  AgentSession session(spoke, kj::mv(connection), asyncIo(), {300, 64 << 20});
  size_t heard = 0;
  auto listing = session.scan(known, [&](const AgentInfo& info) {
    heard += info.version.size() + info.host.size() + info.root.size() + info.home.size();
  });
  auto plan = makePlan(mirror, {}, known, listing);
  auto wants = wantsFor(plan);
  session.pull(kj::arrayPtr(wants.data(), wants.size()), [&](proto::Event::Reader event) {
    if (event.isData()) digestOf(event.getData().getBytes());
    return true;
  });
}

}  // namespace pibrain::fuzz
