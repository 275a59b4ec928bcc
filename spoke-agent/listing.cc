#include "spoke-agent/listing.h"

#include <algorithm>
#include <unordered_map>

#include "common/protocol.h"

namespace pibrain {

namespace {

// Entries in one event: with the longest names these are under 300 KB.
constexpr uint32_t MAX_ENTRIES = 1000;
constexpr size_t MAX_UNSEEN = 50'000;

capnp::Data::Reader dataOf(std::string_view text) {
  return kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size());
}

}  // namespace

ListingSource::ListingSource(std::shared_ptr<const Tree> tree, Digest hubTree,
                             capnp::List<uint64_t>::Reader known, bool knownComplete)
    : tree_(kj::mv(tree)) {
  if (tree_->problems.empty() && treeDigest(*tree_) == hubTree) {
    state_ = proto::Summary::State::SAME;
    return;
  }
  if (!knownComplete) {
    state_ = proto::Summary::State::DIFFERS;
    return;
  }
  state_ = proto::Summary::State::LISTED;
  std::unordered_map<uint64_t, uint32_t> indexes;
  for (uint32_t i = 0; i < known.size(); ++i) indexes.emplace(known[i], i);
  for (uint32_t i = 0; i < tree_->directories.size(); ++i) {
    if (indexes.erase(tree_->directories[i].digest) == 0) differing_.push_back(i);
  }
  for (auto& left : indexes) unseen_.push_back(left.second);
  std::sort(unseen_.begin(), unseen_.end());
}

bool ListingSource::produce(BlockWriter& writer) {
  if (!summarized_) {
    addSummary(writer);
    summarized_ = true;
  } else if (nextProblem_ < std::min(tree_->problems.size(), MAX_PROBLEMS)) {
    addProblem(writer, tree_->problems[nextProblem_++]);
  } else if (!unseen_.empty()) {
    addUnseen(writer);
  } else if (nextDirectory_ < differing_.size()) {
    addEntries(writer, tree_->directories[differing_[nextDirectory_]]);
  }
  return nextProblem_ < std::min(tree_->problems.size(), MAX_PROBLEMS) || !unseen_.empty() ||
         nextDirectory_ < differing_.size();
}

void ListingSource::addSummary(BlockWriter& writer) {
  writer.add([&](proto::Event::Builder event) {
    auto summary = event.initSummary();
    summary.setState(state_);
    summary.setComplete(tree_->problems.empty());
    summary.setDirectories(uint32_t(tree_->directories.size()));
    summary.setFiles(uint32_t(tree_->files.size()));
    summary.setBytes(tree_->bytes);
    summary.setSymlinksSkipped(tree_->symlinksSkipped);
    summary.setSpecialsSkipped(tree_->specialsSkipped);
  });
}

void ListingSource::addProblem(BlockWriter& writer, const Tree::Problem& problem) {
  writer.add([&](proto::Event::Builder event) {
    auto out = event.initProblem();
    out.setPath(dataOf(problem.path));
    out.setReason(problem.reason);
  });
}

void ListingSource::addUnseen(BlockWriter& writer) {
  size_t count = std::min(unseen_.size(), MAX_UNSEEN);
  writer.add([&](proto::Event::Builder event) {
    auto list = event.initUnseen(uint32_t(count));
    for (size_t i = 0; i < count; ++i) list.set(uint32_t(i), unseen_[unseen_.size() - count + i]);
  });
  unseen_.resize(unseen_.size() - count);
}

void ListingSource::addEntries(BlockWriter& writer, const Tree::Directory& directory) {
  uint32_t count = std::min(directory.fileCount - nextEntry_, MAX_ENTRIES);
  uint32_t first = directory.firstFile + nextEntry_;
  writer.add([&](proto::Event::Builder event) {
    auto out = event.initDirectory();
    out.setPath(dataOf(tree_->path(directory)));
    out.setFirstFile(first);
    auto entries = out.initEntries(count);
    for (uint32_t i = 0; i < count; ++i) {
      auto& file = tree_->files[first + i];
      entries[i].setName(dataOf(tree_->name(file)));
      entries[i].setSize(file.size);
      entries[i].setMtime(file.mtime);
    }
  });
  nextEntry_ += count;
  if (nextEntry_ == directory.fileCount) {
    nextEntry_ = 0;
    ++nextDirectory_;
  }
}

}  // namespace pibrain
