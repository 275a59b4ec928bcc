#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "common/wire/block-stream.h"
#include "spoke-agent/answers/sent-files.h"
#include "spoke-agent/tree/tree-source.h"

namespace pibrain {

// Tells a hub what became of files that changed: of those that it was sent in this session, what
// was appended; of all others, their new size and time.
class LiveChanges {
 public:
  // `root` must outlive this.
  LiveChanges(TreeSource& root, std::shared_ptr<const Tree> tree, kj::Own<SentFiles> sent)
      : root_(root), tree_(std::move(tree)), sent_(kj::mv(sent)) {}

  // Adds the events of one file. Returns when it must be looked at again although nothing changes,
  // in ns since the epoch: its last line has no end yet (P4). nullopt: only if it changes.
  std::optional<int64_t> add(BlockWriter& writer, uint32_t file);

 private:
  // Longer tails are left to a pull, which has flow control, and goes on from what was sent.
  static constexpr uint64_t MAX_TAIL = 64 * 1024;

  // Returns until when the file may be about to grow rather than rewritten; nullopt: no longer.
  static std::optional<int64_t> doubtUntil(SentFile& sent);
  void announce(BlockWriter& writer, uint32_t file, const TreeSource::File& now);
  // Returns false if the tail could not be read.
  bool addTail(BlockWriter& writer, uint32_t file, const TreeSource::File& now, uint64_t end,
               SentFile& sent);

  TreeSource& root_;
  std::shared_ptr<const Tree> tree_;
  kj::Own<SentFiles> sent_;
  std::unordered_set<uint32_t> announced_;  // the hub knows which paths these ids are
};

}  // namespace pibrain
