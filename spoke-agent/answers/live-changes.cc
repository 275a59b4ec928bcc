#include "spoke-agent/answers/live-changes.h"

#include <algorithm>

#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/rooted-dir.h"
#include "common/wire/data.h"
#include "common/wire/protocol.h"
#include "spoke-agent/answers/pull.h"

namespace pibrain {

namespace {

// A write sets a file's mtime before its size, so a file that seems rewritten may be about to grow.
// Most writes take less than this, even on a busy machine.
constexpr int64_t WRITE_NANOS = 200'000'000;

}  // namespace

std::optional<int64_t> LiveChanges::add(BlockWriter& writer, uint32_t file) {
  auto opened = root_.open(*tree_, file);
  // That it vanished is for a scan to tell.
  if (!opened.is<TreeSource::File>()) return std::nullopt;
  auto& now = opened.get<TreeSource::File>();
  uint64_t end = publishableSize(now, wallClockNanos());
  auto* sent = sent_->find(now.path);
  bool same = sent != nullptr && sent->isSame(now.fd);
  // Half a line that was sent stays sent.
  if (same) end = std::max(end, std::min(sent->size, now.size));
  std::optional<int64_t> again;
  if (end < now.size) again = now.mtime + QUIET_NANOS;
  bool appended = same && end > sent->size &&
                  (!now.path.ends_with(SESSION_SUFFIX) || sent->stillEndsALine(now.fd));
  if (appended) {
    sent->doubted = 0;
    if (end - sent->size <= MAX_TAIL && addTail(writer, file, now, end, *sent)) return again;
  } else if (same && end == sent->size) {
    // Only the beginning of a line came, or a second event of what was sent.
    if (now.size > end || now.mtime == sent->mtime) return again;
    if (auto until = doubtUntil(*sent)) return until;
  }
  if (!appended) sent_->forget(now.path);
  if (end > 0 || now.size == 0) announce(writer, file, now);
  return again;
}

std::optional<int64_t> LiveChanges::doubtUntil(SentFile& sent) {
  auto now = wallClockNanos();
  if (sent.doubted == 0 || now < sent.doubted) sent.doubted = now;
  auto until = sent.doubted + WRITE_NANOS;
  return now < until ? std::optional(until) : std::nullopt;
}

void LiveChanges::announce(BlockWriter& writer, uint32_t file, const TreeSource::File& now) {
  announced_.insert(file);
  writer.add([&](proto::Event::Builder event) {
    auto directory = event.initDirectory();
    directory.setPath(dataOf(parentOf(now.path)));
    directory.setFirstFile(file);
    directory.initFingerprints(1);  // 0: it is one of the entries
    auto entry = directory.initEntries(1)[0];
    entry.setName(dataOf(baseNameOf(now.path)));
    entry.setSize(now.size);
    entry.setMtime(now.mtime);
    entry.setMode(now.mode);
  });
}

bool LiveChanges::addTail(BlockWriter& writer, uint32_t file, const TreeSource::File& now,
                          uint64_t end, SentFile& sent) {
  auto bytes = kj::heapArray<kj::byte>(size_t(end - sent.size));
  if (readAt(now.fd, bytes, sent.size) < bytes.size()) return false;
  auto hasher = sent.hasher;
  hasher.update(bytes);
  if (!announced_.contains(file)) announce(writer, file, now);
  writer.add([&](proto::Event::Builder event) {
    auto begin = event.initBegin();
    begin.setFile(file);
    begin.setContent(proto::Begin::Content::TAIL);
    begin.setFrom(sent.size);
    begin.setSize(end);
    begin.setMtime(now.mtime);
    begin.setUnsettled(true);
    begin.setMode(now.mode);
  });
  writer.add([&](proto::Event::Builder event) {
    auto piece = event.initData();
    piece.setBytes(bytes);
    hasher.digest().to(piece.initHash());
  });
  writer.add([&](proto::Event::Builder event) { hasher.digest().to(event.initEnd()); });
  sent.size = end;
  sent.mtime = now.mtime;
  sent.hasher = hasher;
  return true;
}

}  // namespace pibrain
