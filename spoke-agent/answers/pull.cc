#include "spoke-agent/answers/pull.h"

#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/rooted-dir.h"
#include "common/wire/protocol.h"
#include "spoke-agent/answers/fork.h"

namespace pibrain {

namespace {

// A smaller fork is sent whole rather than as a delta against its parent. In a first run, in which
// the parent is in zstd's window, that takes fewer bytes and less work; later it costs a KB or two.
constexpr uint64_t MIN_FORK = 4096;

// A hostile signature makes librsync hash a block for each byte of the file. An honest one takes
// some 15 ns a byte on a fast machine.
constexpr int64_t DELTA_PATIENCE = 1'000'000'000;
constexpr int64_t DELTA_NANOS_PER_BYTE = 500;

// SQLite's write-ahead log, rollback journal and shared index of the log
// (https://sqlite.org/tempfiles.html). Together with the database they are one thing in several
// files, and consistent only while no program writes.
constexpr std::string_view DATABASE_SUFFIXES[] = {"-wal", "-journal", "-shm"};

int64_t processorNanos() {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// A file server's clock may be ahead of ours, at worst by time zones. A time further ahead is not a
// clock's, and must not hold a file back until then.
constexpr int64_t MAX_AHEAD = 86'400'000'000'000;  // ns

constexpr int64_t HOT_NANOS = 3'600'000'000'000;

// Returns whether the file may have changed within this span. A time ahead of the clock counts as
// that.
bool changedWithin(int64_t nanos, int64_t mtime, int64_t now) {
  return mtime > now - nanos && mtime <= now + MAX_AHEAD;
}

}  // namespace

void refuse(BlockWriter& writer, uint32_t file, proto::Reason reason) {
  writer.add([&](proto::Event::Builder event) {
    auto refused = event.initRefused();
    refused.setFile(file);
    refused.setReason(reason);
  });
}

uint64_t publishableSize(const TreeSource::File& file, int64_t now) {
  if (!file.path.ends_with(SESSION_SUFFIX) || !changedWithin(QUIET_NANOS, file.mtime, now)) {
    return file.size;
  }
  return wholeLines(file.fd, file.size);
}

uint64_t wholeLines(int fd, uint64_t size) {
  kj::byte buffer[64 * 1024];
  for (uint64_t end = size; end > 0;) {
    uint64_t start = end - kj::min(end, sizeof(buffer));
    size_t n = readAt(fd, kj::arrayPtr(buffer, size_t(end - start)), start);
    if (auto* newline = memrchr(buffer, '\n', n)) {
      return start + uint64_t(static_cast<kj::byte*>(newline) - buffer) + 1;
    }
    end = start;
  }
  return 0;
}

Pull::Pull(kj::Own<TreeSource> root, std::shared_ptr<const Tree> tree,
           capnp::List<proto::Want>::Reader wants, SharedSecret secret, kj::Own<SentFiles> sent)
    : root_(kj::mv(root)), tree_(kj::mv(tree)), secret_(kj::mv(secret)), sent_(kj::mv(sent)) {
  for (auto want : wants) {
    Want copy{want.getFile(), Whole()};
    switch (want.which()) {
      case proto::Want::WHOLE:
        break;
      case proto::Want::NEW:
        copy.basis = New();
        break;
      case proto::Want::PREFIX:
        copy.basis = Prefix{want.getPrefix().getSize(), Digest::from(want.getPrefix().getHash()),
                            want.getPrefix().getAsSent()};
        break;
      case proto::Want::SIGNATURE:
        copy.basis = kj::heapArray<kj::byte>(want.getSignature());
        break;
    }
    wants_.push_back(kj::mv(copy));
  }
}

bool Pull::produce(BlockWriter& writer) {
  if (out_ != nullptr) {
    sendPiece(writer);
  } else if (!wants_.empty()) {
    auto want = kj::mv(wants_.front());
    wants_.pop_front();
    uint32_t id = want.file;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { start(writer, kj::mv(want)); })) {
      out_ = nullptr;
      refuse(writer, id, proto::Reason::IO_ERROR);
    }
  }
  return out_ != nullptr || !wants_.empty();
}

bool Pull::isDatabaseInUse(const TreeSource::File& file, int64_t now) const {
  std::string_view base = file.path;
  for (std::string_view suffix : DATABASE_SUFFIXES) {
    if (base.ends_with(suffix)) base.remove_suffix(suffix.size());
  }
  std::vector<uint32_t> parts;
  for (std::string_view suffix : DATABASE_SUFFIXES) {
    KJ_IF_MAYBE(id, tree_->idOf(std::string(base) + std::string(suffix))) parts.push_back(*id);
  }
  // Only a file with a journal beside it counts as a database. This is called for every file.
  if (parts.empty()) return false;
  KJ_IF_MAYBE(id, tree_->idOf(base)) {
    parts.push_back(*id);
  } else {
    return false;
  }
  bool fresh = changedWithin(SETTLED_NANOS, file.mtime, now);
  for (uint32_t id : parts) {
    auto part = root_->open(*tree_, id);
    if (!part.is<TreeSource::File>()) continue;
    fresh |= changedWithin(SETTLED_NANOS, part.get<TreeSource::File>().mtime, now);
  }
  return fresh;
}

void Pull::start(BlockWriter& writer, Want want) {
  int64_t now = wallClockNanos();
  auto opened = root_->open(*tree_, want.file);
  if (opened.is<proto::Reason>()) {
    refuse(writer, want.file, opened.get<proto::Reason>());
    return;
  }
  auto out = std::make_unique<Outgoing>();
  out->id = want.file;
  out->hasher = FileHasher(*secret_);
  out->file = kj::mv(opened.get<TreeSource::File>());
  if (isDatabaseInUse(out->file, now)) {
    refuse(writer, want.file, proto::Reason::UNFINISHED_LINE);
    return;
  }
  out->opened = now;
  out->unsettled = changedWithin(SETTLED_NANOS, out->file.mtime, now);
  out->end = publishableSize(out->file, now);

  auto content = proto::Begin::Content::WHOLE;
  if (want.basis.is<Prefix>()) {
    auto& prefix = want.basis.get<Prefix>();
    if (!startsWith(*out, prefix)) {
      writer.add([&](proto::Event::Builder event) { event.setDiffers(want.file); });
      return;
    }
    // The hub has these bytes already, even if they end in half a line.
    out->end = kj::max(out->end, prefix.size);
    content = proto::Begin::Content::TAIL;
  } else if (out->end == 0 && out->file.size > 0) {
    refuse(writer, want.file, proto::Reason::UNFINISHED_LINE);
    return;
  } else if (want.basis.is<kj::Array<kj::byte>>()) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions(
                       [&]() { startDelta(*out, want.basis.get<kj::Array<kj::byte>>()); })) {
      refuse(writer, want.file, proto::Reason::BAD_REQUEST);
      return;
    }
    content = proto::Begin::Content::DELTA;
  } else if (want.basis.is<New>() && tryFork(*out)) {
    content = proto::Begin::Content::FORK;
  }
  out_ = kj::mv(out);
  begin(writer, content);
  if (out_->delta.get() == nullptr && out_->offset == out_->end) end(writer);
}

bool Pull::startsWith(Outgoing& out, const Prefix& prefix) {
  if (prefix.size > out.file.size) return false;
  out.asSent = prefix.asSent && goesOnFromSent(out, prefix);
  if (out.asSent) {
    // Only a proof of the whole settles it.
    out.unsettled = true;
    return true;
  }
  if (hashPrefix(out.file.fd, prefix.size, out.hasher) != prefix.size) return false;
  out.offset = prefix.size;
  return out.hasher.digest() == prefix.hash;
}

bool Pull::goesOnFromSent(Outgoing& out, const Prefix& prefix) {
  auto* sent = sent_->find(out.file.path);
  if (sent == nullptr || !sent->isSame(out.file.fd)) return false;
  // Only sessions are known to grow by whole lines.
  if (!out.file.path.ends_with(SESSION_SUFFIX) || !sent->stillEndsALine(out.file.fd)) return false;
  // What did not grow was rewritten.
  if (out.end <= sent->size && out.file.mtime != sent->mtime) return false;
  if (prefix.size != sent->size || prefix.hash != sent->hasher.digest()) return false;
  out.hasher = sent->hasher;
  out.offset = prefix.size;
  return true;
}

void Pull::startDelta(Outgoing& out, kj::ArrayPtr<const kj::byte> signature) {
  out.signature = kj::heap<Signature>(signature);
  out.delta = kj::heap<DeltaReader>(
      *out.signature, [&out](kj::ArrayPtr<kj::byte> buffer) { return readForDelta(out, buffer); });
}

size_t Pull::readForDelta(Outgoing& out, kj::ArrayPtr<kj::byte> buffer) {
  // While librsync works, deltaTime is less by the clock's time at its start.
  out.tooSlow = out.deltaTime + processorNanos() >
                DELTA_PATIENCE + int64_t(out.offset) * DELTA_NANOS_PER_BYTE;
  KJ_REQUIRE(!out.tooSlow, "this signature takes too long");
  auto want = buffer.slice(0, kj::min(uint64_t(buffer.size()), out.end - out.offset));
  size_t n = readAt(out.file.fd, want, out.offset);
  out.hasher.update(want.slice(0, n));
  out.offset += n;
  return n;
}

bool Pull::startFork(Outgoing& out) {
  if (!out.file.path.ends_with(SESSION_SUFFIX) || out.end < MIN_FORK) return false;
  char beginning[4096];
  size_t n = readAt(out.file.fd, kj::arrayPtr(beginning, sizeof(beginning)).asBytes(), 0);
  auto named = parentNamedIn({beginning, n});
  if (named.empty()) return false;
  uint32_t id = 0;
  KJ_IF_MAYBE(found, findParent(*tree_, named, parentOf(out.file.path))) {
    id = *found;
  } else {
    return false;
  }
  auto opened = root_->open(*tree_, id);
  if (id == out.id || opened.is<proto::Reason>()) return false;
  auto& parent = opened.get<TreeSource::File>();
  // The hub has this much of the parent if it synced it in this run or before, and a fork repeats
  // its parent's beginning.
  uint64_t size = kj::min(parent.size, KJ_ASSERT_NONNULL(tree_->find(id)).file.size);
  size = wholeLines(parent.fd, kj::min(size, out.end));
  FileHasher hasher(*secret_);
  if (size < MIN_FORK || hashPrefix(parent.fd, size, hasher) < size) return false;
  kj::Vector<kj::byte> signature;
  makeSignature(parent.fd, size, 0, 0,
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature.addAll(bytes); });
  startDelta(out, signature);
  out.parent = Parent{std::move(parent.path), size, hasher.digest()};
  return true;
}

bool Pull::tryFork(Outgoing& out) {
  bool started = false;
  // Whatever is wrong with the parent, the fork itself can still be read.
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { started = startFork(out); })) {
    out.delta = nullptr;
    out.signature = nullptr;
    return false;
  }
  return started;
}

void Pull::begin(BlockWriter& writer, proto::Begin::Content content) {
  writer.add([&](proto::Event::Builder event) {
    auto begin = event.initBegin();
    begin.setFile(out_->id);
    begin.setContent(content);
    begin.setSize(out_->end);
    begin.setMtime(out_->file.mtime);
    begin.setUnsettled(out_->unsettled);
    begin.setMode(out_->file.mode);
    begin.setHoles(kj::min(out_->file.holes, out_->end));
    KJ_IF_MAYBE(parent, out_->parent) {
      auto about = begin.initParent();
      about.setPath(kj::StringPtr(parent->path.c_str()).asBytes());
      about.setSize(parent->size);
      parent->hash.to(about.initHash());
    }
  });
}

void Pull::sendPiece(BlockWriter& writer) {
  uint32_t id = out_->id;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
                if (out_->delta.get() != nullptr) {
                  sendDelta(writer);
                } else {
                  sendContent(writer);
                }
              })) {
    // The hub sent a bad signature; it asks again in another way.
    refuse(writer, id, out_->tooSlow ? proto::Reason::BAD_REQUEST : proto::Reason::IO_ERROR);
    out_ = nullptr;
  }
}

void Pull::sendContent(BlockWriter& writer) {
  auto size = uint32_t(kj::min(out_->end - out_->offset, uint64_t(MAX_PIECE)));
  bool whole = writer.tryAdd([&](proto::Event::Builder event) {
    auto piece = event.initData();
    auto bytes = piece.initBytes(size);
    if (readAt(out_->file.fd, bytes, out_->offset) < size) return false;
    out_->hasher.update(bytes);
    out_->hasher.digest().to(piece.initHash());
    return true;
  });
  if (whole) out_->offset += size;
  if (!whole || out_->offset == out_->end) end(writer);
}

void Pull::sendDelta(BlockWriter& writer) {
  // Into a buffer, because a delta's length is known only at its end.
  auto buffer = kj::heapArray<kj::byte>(MAX_PIECE / 4);
  out_->deltaTime -= processorNanos();
  size_t n = out_->delta->read(buffer);
  out_->deltaTime += processorNanos();
  if (n > 0) {
    writer.add([&](proto::Event::Builder event) { event.initData().setBytes(buffer.slice(0, n)); });
  }
  if (n < buffer.size()) end(writer);
}

void Pull::end(BlockWriter& writer) {
  auto out = kj::mv(out_);
  struct stat st;
  if (out->offset == out->end && stillHolds(*out) && fstat(out->file.fd, &st) == 0) {
    // Others are not likely to grow while the hub watches.
    bool hot = changedWithin(HOT_NANOS, out->file.mtime, out->opened);
    // Meanwhile the watch may have found that it was rewritten.
    bool rewritten = out->asSent && sent_->find(out->file.path) == nullptr;
    if (hot && !rewritten) {
      sent_->keep(out->file.path, {st.st_dev, st.st_ino, out->end, out->file.mtime, out->hasher});
    }
    writer.add([&](proto::Event::Builder event) { out->hasher.digest().to(event.initEnd()); });
  } else {
    refuse(writer, out->id, proto::Reason::CHANGING);
  }
}

bool Pull::stillHolds(const Outgoing& out) const {
  // If the file was unchanged for a while before it was read, and since, the content is consistent.
  // Otherwise, or if its time is ahead of the clock and proves nothing, it may have been appended
  // to, which is fine, or rewritten while it was read, which gives neither the old file nor the new
  // one (P3). A second reading shows which.
  struct stat st;
  if (fstat(out.file.fd, &st) != 0) return false;
  if (out.asSent) return uint64_t(st.st_size) >= out.end;
  bool settled = !out.unsettled && out.file.mtime <= out.opened;
  if (settled && mtimeOf(st) == out.file.mtime && uint64_t(st.st_size) == out.file.size) {
    return true;
  }
  FileHasher again(*secret_);
  return hashPrefix(out.file.fd, out.end, again) == out.end &&
         again.digest() == out.hasher.digest();
}

}  // namespace pibrain
