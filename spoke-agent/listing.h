#pragma once

#include <capnp/list.h>

#include <memory>
#include <vector>

#include "common/tree-walk.h"
#include "spoke-agent/event-source.h"

namespace pibrain {

// The answer to a scan: what the spoke has that the hub does not know.
class ListingSource : public EventSource {
 public:
  // `hubTree` and `known` are the hub's digests (agent.capnp, Sessions.scan).
  ListingSource(std::shared_ptr<const Tree> tree, Digest hubTree,
                capnp::List<uint64_t>::Reader known, bool knownComplete);

  bool produce(BlockWriter& writer) override;

 private:
  void addSummary(BlockWriter& writer);
  void addProblem(BlockWriter& writer, const Tree::Problem& problem);
  void addEntries(BlockWriter& writer, const Tree::Directory& directory);
  void addUnseen(BlockWriter& writer);

  std::shared_ptr<const Tree> tree_;
  proto::Summary::State state_;
  std::vector<uint32_t> differing_;  // indexes of directories to list
  std::vector<uint32_t> unseen_;
  bool summarized_ = false;
  size_t nextProblem_ = 0;
  size_t nextDirectory_ = 0;  // in differing_
  uint32_t nextEntry_ = 0;    // in that directory
};

}  // namespace pibrain
