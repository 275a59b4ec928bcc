#pragma once

#include <capnp/list.h>

#include <deque>
#include <memory>
#include <vector>

#include "common/tree/tree.h"
#include "spoke-agent/answers/event-source.h"

namespace pibrain {

// Answers a scan: sends what the spoke has and the hub does not know.
class ListingSource : public EventSource {
 public:
  // What the hub knows: the arguments of Sessions.scan in agent.capnp.
  struct Known {
    Digest tree;
    capnp::List<uint64_t>::Reader digests;
    bool complete;
    int64_t newest;
    uint32_t maxSkipped = 0;
    DigestOptions options = {};
    proto::Summary::Rest rest = proto::Summary::Rest::UNSAID;
  };
  ListingSource(std::shared_ptr<const Tree> tree, const Known& known);

  bool produce(BlockWriter& writer) override;

 private:
  void addSummary(BlockWriter& writer);
  void addProblem(BlockWriter& writer, const Tree::Problem& problem);
  void addFiles(BlockWriter& writer, const Tree::Directory& directory);
  void addUnseen(BlockWriter& writer);
  bool atEnd() const;

  std::shared_ptr<const Tree> tree_;
  int64_t newest_;
  DigestOptions options_;
  size_t maxSkipped_ = 0;
  proto::Summary::State state_;
  std::vector<uint32_t> differing_;  // indexes of directories to list
  std::vector<uint32_t> unseen_;
  bool summarized_ = false;
  size_t nextProblem_ = 0;
  size_t nextSkipped_ = 0;
  proto::Summary::Rest rest_;
  size_t nextDirectory_ = 0;  // in differing_
  size_t nextFile_ = 0;       // in that directory
};

// Sends the entries of single files.
class EntrySource : public EventSource {
 public:
  EntrySource(std::shared_ptr<const Tree> tree, capnp::List<uint32_t>::Reader files);

  bool produce(BlockWriter& writer) override;

 private:
  std::shared_ptr<const Tree> tree_;
  std::deque<uint32_t> files_;
};

}  // namespace pibrain
