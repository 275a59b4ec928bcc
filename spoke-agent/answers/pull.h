#pragma once

#include <capnp/list.h>
#include <kj/one-of.h>

#include <deque>
#include <memory>
#include <vector>

#include "common/delta/delta.h"
#include "common/wire/digest.h"
#include "spoke-agent/answers/event-source.h"
#include "spoke-agent/answers/sent-files.h"
#include "spoke-agent/tree/tree-source.h"

namespace pibrain {

// Answers a list of wants, in their order.
class Pull : public EventSource {
 public:
  // `secret` is that of all hashes. `sent` remembers which files were sent.
  Pull(kj::Own<TreeSource> root, std::shared_ptr<const Tree> tree,
       capnp::List<proto::Want>::Reader wants, SharedSecret secret, kj::Own<SentFiles> sent);

  bool produce(BlockWriter& writer) override;

 private:
  struct Whole {};
  struct New {};
  struct Prefix {
    uint64_t size;
    Digest hash;
    bool asSent;
  };
  struct Want {
    uint32_t file;
    kj::OneOf<Whole, New, Prefix, kj::Array<kj::byte>> basis;  // the bytes are a signature
  };
  // The file that a fork's delta starts from.
  struct Parent {
    std::string path;
    uint64_t size;
    Digest hash;
  };
  // A file that is being sent.
  struct Outgoing {
    uint32_t id;
    TreeSource::File file;
    uint64_t end;         // the size that is sent: P4 may hold back the last line
    uint64_t offset = 0;  // what has been read
    int64_t opened;       // when, ns since the epoch
    bool unsettled;
    bool asSent = false;  // its beginning was not read again
    FileHasher hasher;
    kj::Maybe<Parent> parent;
    kj::Own<Signature> signature;
    kj::Own<DeltaReader> delta;
    int64_t deltaTime = 0;  // of the processor, in nanoseconds
    bool tooSlow = false;
  };

  void start(BlockWriter& writer, Want want);
  // Returns whether the file is part of a database that was written to a moment ago.
  bool isDatabaseInUse(const TreeSource::File& file, int64_t now) const;
  // Returns whether the file begins with the basis, which has then been hashed.
  bool startsWith(Outgoing& out, const Prefix& prefix);
  // Returns whether the basis is what this session sent of the file, which then need not be read.
  bool goesOnFromSent(Outgoing& out, const Prefix& prefix);
  // Reads the file for a delta. Throws if that takes longer than with any honest signature.
  static size_t readForDelta(Outgoing& out, kj::ArrayPtr<kj::byte> buffer);
  void startDelta(Outgoing& out, kj::ArrayPtr<const kj::byte> signature);
  // Starts a delta against the file's parent. Returns false if the tree has none.
  bool startFork(Outgoing& out);
  // The same, but returns false if it fails.
  bool tryFork(Outgoing& out);
  void begin(BlockWriter& writer, proto::Begin::Content content);
  void sendPiece(BlockWriter& writer);
  void sendContent(BlockWriter& writer);
  void sendDelta(BlockWriter& writer);
  void end(BlockWriter& writer);
  // Returns whether the file still has the content that was sent.
  bool stillHolds(const Outgoing& out) const;

  kj::Own<TreeSource> root_;
  std::shared_ptr<const Tree> tree_;
  const SharedSecret secret_;
  kj::Own<SentFiles> sent_;
  std::deque<Want> wants_;
  std::unique_ptr<Outgoing> out_;
};

// Adds a `refused` event.
void refuse(BlockWriter& writer, uint32_t file, proto::Reason reason);

// Returns how many bytes of a file are sent (P4): all of them, or those up to the last newline of a
// *.jsonl file that changed less than QUIET_NANOS before `now`.
uint64_t publishableSize(const TreeSource::File& file, int64_t now);

// Returns where the last whole line within the file's first `size` bytes ends; 0 if there is none.
uint64_t wholeLines(int fd, uint64_t size);

}  // namespace pibrain
