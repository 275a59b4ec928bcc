#include "spoke-agent/answers/listing.h"

#include <algorithm>
#include <unordered_map>

#include "common/wire/data.h"
#include "common/wire/protocol.h"
#include "spoke-agent/answers/pull.h"

namespace pibrain {

namespace {

// Files in one event, which is under 300 KB even with the longest names.
constexpr size_t MAX_FILES = 1000;
constexpr size_t MAX_UNSEEN = 50'000;

void fill(proto::Entry::Builder entry, const Tree::Directory& directory, const Tree::File& file) {
  entry.setName(dataOf(directory.name(file)));
  entry.setSize(file.size);
  entry.setMtime(file.mtime);
  entry.setMode(file.mode);
}

}  // namespace

ListingSource::ListingSource(std::shared_ptr<const Tree> tree, const Known& known)
    : tree_(kj::mv(tree)), newest_(known.newest), options_(known.options), rest_(known.rest) {
  std::vector<uint64_t> digests;
  digests.reserve(tree_->directories.size());
  for (auto& directory : tree_->directories) {
    // The walk has computed the digests without options.
    bool made = options_ == DigestOptions();
    digests.push_back(made ? directory.digest : digestOf(directory, options_));
  }
  if (tree_->problems.empty() && treeDigest(digests) == known.tree) {
    state_ = proto::Summary::State::SAME;
    return;
  }
  if (!known.complete) {
    state_ = proto::Summary::State::DIFFERS;
    return;
  }
  state_ = proto::Summary::State::LISTED;
  maxSkipped_ = std::min<size_t>(known.maxSkipped, tree_->skipped.size());
  std::unordered_map<uint64_t, uint32_t> indexes;
  for (uint32_t i = 0; i < known.digests.size(); ++i) indexes.emplace(known.digests[i], i);
  for (uint32_t i = 0; i < tree_->directories.size(); ++i) {
    if (indexes.erase(digests[i]) == 0) differing_.push_back(i);
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
  } else if (nextSkipped_ < maxSkipped_) {
    writer.add([&](proto::Event::Builder event) {
      event.setSkipped(dataOf(tree_->skipped[nextSkipped_]));
    });
    ++nextSkipped_;
  } else if (!unseen_.empty()) {
    addUnseen(writer);
  } else if (nextDirectory_ < differing_.size()) {
    addFiles(writer, tree_->directories[differing_[nextDirectory_]]);
  }
  return !atEnd();
}

bool ListingSource::atEnd() const {
  return nextProblem_ >= std::min(tree_->problems.size(), MAX_PROBLEMS) &&
         nextSkipped_ >= maxSkipped_ && unseen_.empty() && nextDirectory_ >= differing_.size();
}

void ListingSource::addSummary(BlockWriter& writer) {
  writer.add([&](proto::Event::Builder event) {
    auto summary = event.initSummary();
    summary.setState(state_);
    summary.setComplete(tree_->problems.empty());
    summary.setDirectories(uint32_t(tree_->directories.size()));
    summary.setFiles(tree_->files);
    summary.setBytes(tree_->bytes);
    summary.setSymlinksSkipped(tree_->symlinksSkipped);
    summary.setSpecialsSkipped(tree_->specialsSkipped);
    summary.setRest(rest_);
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

void ListingSource::addFiles(BlockWriter& writer, const Tree::Directory& directory) {
  size_t count = std::min(directory.files.size() - nextFile_, MAX_FILES);
  auto files = kj::arrayPtr(directory.files.data() + nextFile_, count);
  auto isNew = [this](auto& file) { return file.mtime > newest_; };
  writer.add([&](proto::Event::Builder event) {
    auto out = event.initDirectory();
    out.setPath(dataOf(directory.path));
    out.setFirstFile(directory.firstFile + uint32_t(nextFile_));
    auto fingerprints = out.initFingerprints(uint32_t(count));
    auto entries = out.initEntries(uint32_t(std::count_if(files.begin(), files.end(), isNew)));
    uint32_t entry = 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (isNew(files[i])) {
        fill(entries[entry++], directory, files[i]);
      } else {
        fingerprints.set(i, fingerprintOf(directory, files[i], options_));
      }
    }
  });
  nextFile_ += count;
  if (nextFile_ == directory.files.size()) {
    nextFile_ = 0;
    ++nextDirectory_;
  }
}

EntrySource::EntrySource(std::shared_ptr<const Tree> tree, capnp::List<uint32_t>::Reader files)
    : tree_(kj::mv(tree)) {
  for (uint32_t file : files) files_.push_back(file);
}

bool EntrySource::produce(BlockWriter& writer) {
  if (files_.empty()) return false;
  uint32_t id = files_.front();
  files_.pop_front();
  KJ_IF_MAYBE(found, tree_->find(id)) {
    writer.add([&](proto::Event::Builder event) {
      auto out = event.initEntry();
      out.setFile(id);
      fill(out.initEntry(), found->directory, found->file);
    });
  } else {
    refuse(writer, id, proto::Reason::BAD_REQUEST);
  }
  return !files_.empty();
}

}  // namespace pibrain
