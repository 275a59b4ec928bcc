#include "hub/agent/live-mirror.h"

#include <absl/strings/str_cat.h>
#include <kj/debug.h>
#include <kj/time.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "common/fs/file-times.h"
#include "common/fs/rooted-dir.h"
#include "common/wire/data.h"
#include "common/wire/protocol.h"
#include "hub/agent/now.h"
#include "hub/base/failure.h"
#include "hub/mirror/open-mirror.h"

namespace pibrain {

namespace {

// What was appended is on the disk after so long, at the latest.
constexpr kj::Duration FLUSH_AFTER = 1 * kj::SECONDS;
// Another process has the mirror: when to look again.
constexpr kj::Duration LOCK_AGAIN = 200 * kj::MILLISECONDS;
// Long enough for another process that waits for the mirror to lock it.
constexpr kj::Duration LET_OTHERS_IN = 10 * kj::MILLISECONDS;
// A file that is still being written, or a database in use: when to ask again.
constexpr kj::Duration ASK_AGAIN = 10 * kj::SECONDS;
// A file at rest for so long is proved as a whole, at most once in MIN_BETWEEN_PROOFS.
constexpr kj::Duration REST = 10 * kj::SECONDS, MIN_BETWEEN_PROOFS = 60 * kj::SECONDS;
// An agent that announces more than this gets a scan instead.
constexpr size_t MAX_ANNOUNCED = 20'000;

// Returns why the agent looks for changes itself; empty: it need not.
std::string whyPolled(proto::Watched::Reader watched) {
  if (watched.getPolled() == 0) return "";
  auto some =
      absl::StrCat(watched.getPolled(), " of ",
                   uint64_t(watched.getDirectories()) + watched.getPolled(), " directories");
  switch (watched.getWhy()) {
    case proto::Watched::Why::KERNEL:
      return "the spoke's kernel is older than Linux 5.13";
    case proto::Watched::Why::FILESYSTEM:
      return absl::StrCat(some, " are on a filesystem that does not report all changes");
    case proto::Watched::Why::LIMIT:
      return absl::StrCat(some, " are over the spoke's limit (sysctl fs.fanotify.max_user_marks)");
    case proto::Watched::Why::BUDGET:
      return absl::StrCat(some, " are more than the agent watches; those that changed last are");
    case proto::Watched::Why::UNSAID:
      break;
  }
  return some;
}

bool isToBeProved(const LiveFile& file) { return file.unproved && file.id.has_value(); }

kj::TimePoint provableAt(const LiveFile& file) {
  return kj::max(file.changed + REST, file.proved + MIN_BETWEEN_PROOFS);
}

}  // namespace

LiveMirror::LiveMirror(const Config& config, const SpokeConfig& spoke, Store* store,
                       AgentSession& session, LiveFiles& files, LiveObserver& observer)
    : config_(config),
      spoke_(spoke),
      store_(store),
      session_(session),
      files_(files),
      observer_(observer),
      leftOut_(spoke.exclude),
      wire_(session.wire()) {}

void LiveMirror::event(proto::Event::Reader event) {
  switch (event.which()) {
    case proto::Event::DIRECTORY:
      KJ_REQUIRE(tail_ == nullptr, "an announcement inside a file");
      return announced(event.getDirectory());
    case proto::Event::BEGIN:
      return begin(event.getBegin());
    case proto::Event::DATA:
      return data(event.getData());
    case proto::Event::END:
      return end(Digest::from(event.getEnd()));
    case proto::Event::WATCHED:
      return watched(event.getWatched());
    case proto::Event::SCAN_NEEDED:
      needsScan_ = true;
      return;
    default:
      KJ_FAIL_REQUIRE("an event that does not belong in a watch", uint(event.which()));
  }
}

void LiveMirror::watched(proto::Watched::Reader watched) {
  auto why = whyPolled(watched);
  observer_.entered(why.empty() ? LiveState::LIVE : LiveState::POLLING, why);
}

void LiveMirror::announced(proto::Directory::Reader directory) {
  auto entries = directory.getEntries();
  KJ_REQUIRE(entries.size() == 1, "an announcement is of one file");
  auto entry = entries[0];
  auto name = textOf(entry.getName());
  auto parent = textOf(directory.getPath());
  KJ_REQUIRE(isSafeName(name) && (parent.empty() || isSafePath(parent)), "not a path");
  auto path = joinPath(parent, name);
  KJ_REQUIRE(isSafePath(path) && entry.getSize() <= uint64_t(INT64_MAX), "not a file");
  if (isReserved(path) || leftOut_.coverFile(path)) return;
  if (paths_.size() >= MAX_ANNOUNCED || toFetch_.size() >= MAX_ANNOUNCED) {
    paths_.clear();
    toFetch_.clear();
    needsScan_ = true;
  }
  uint32_t id = directory.getFirstFile();
  paths_[id] = path;
  auto* known = files_.find(path);
  bool older = known != nullptr && known->id == id && entry.getSize() <= known->size &&
               entry.getMtime() <= known->written;
  if (older) return overtaken(*known);
  toFetch_[path] = {id, path, entry.getSize(), entry.getMtime(), entry.getMode()};
}

void LiveMirror::begin(proto::Begin::Reader begin) {
  KJ_REQUIRE(tail_ == nullptr, "a file inside a file");
  KJ_REQUIRE(begin.getContent() == proto::Begin::Content::TAIL, "a watch brings only tails");
  KJ_REQUIRE(begin.getSize() <= uint64_t(INT64_MAX) && begin.getFrom() <= begin.getSize(),
             "not a tail");
  tail_ = std::make_unique<Tail>();
  tail_->from = begin.getFrom();
  auto known = paths_.find(begin.getFile());
  if (known == paths_.end()) {
    needsScan_ = true;  // or it is left out
    return;
  }
  tail_->remote = {begin.getFile(), known->second, begin.getSize(), begin.getMtime(),
                   begin.getMode()};
  auto* file = files_.find(known->second);
  if (file != nullptr && begin.getSize() <= file->size) return overtaken(*file);
  forTail([&]() {
    if (!open(*tail_, begin)) toFetch_[tail_->remote.path] = tail_->remote;
  });
}

// The agent told so before the hub fetched the file, which took longer than the next change. That
// the file is as it was then, the proof at rest finds.
void LiveMirror::overtaken(LiveFile& file) {
  file.unproved = true;
  file.changed = now();
}

bool LiveMirror::open(Tail& tail, proto::Begin::Reader begin) {
  auto& path = tail.remote.path;
  auto* known = files_.find(path);
  if (known == nullptr || known->size != tail.from) return false;
  auto* mirror = lock();
  if (mirror == nullptr) return false;
  KJ_IF_MAYBE(file, mirror->openFile(path)) {
    if (!known->isAsLeft(file->size, file->mtime)) return false;
    tail.basis.kind = Basis::Kind::MIRROR;
    tail.basis.path = path;
    tail.basis.size = file->size;
    tail.basis.mtime = file->mtime;
    tail.basis.hasher = known->hasher;
    tail.receiver =
        std::make_unique<FileReceiver>(*mirror, path, tail.basis, begin, Want::Kind::PREFIX,
                                       mirror->keepsModes(), true, session_.secret());
    return true;
  }
  return false;
}

void LiveMirror::forTail(kj::FunctionParam<void()> work) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { work(); })) {
    if (e->getType() != kj::Exception::Type::FAILED) kj::throwFatalException(kj::mv(*e));
    tail_->receiver = nullptr;
    files_.forget(tail_->remote.path);
    toFetch_[tail_->remote.path] = tail_->remote;
  }
}

void LiveMirror::data(proto::Piece::Reader piece) {
  KJ_REQUIRE(tail_ != nullptr, "content outside a file");
  if (tail_->receiver == nullptr) return;
  forTail([&]() { tail_->receiver->data(piece); });
}

void LiveMirror::end(Digest hash) {
  KJ_REQUIRE(tail_ != nullptr, "an end outside a file");
  KJ_DEFER(tail_ = nullptr);
  if (tail_->receiver == nullptr) return;
  forTail([&]() {
    auto& receiver = *tail_->receiver;
    receiver.end(hash);
    auto& remote = tail_->remote;
    toFetch_.erase(remote.path);
    auto& file = *files_.find(remote.path);
    file.id = remote.id;
    file.size = receiver.size();
    file.written = remote.mtime;
    file.times[0] = mirror_->earlierThan(receiver.mtime());
    file.times[1] = receiver.mtime();
    file.hasher = receiver.hasher();
    file.unproved = true;
    file.changed = now();
    observer_.changed(
        {ChangeKind::GROW, remote.path, tail_->from, file.size, remote.mtime, wallClockNanos()});
  });
}

Mirror* LiveMirror::lock() {
  if (mirror_) return &*mirror_;
  if (now() < busyUntil_) return nullptr;
  // A tail that comes now would otherwise be lost, and cost a proof of the whole file.
  if (now() < free_)
    std::this_thread::sleep_for(std::chrono::nanoseconds((free_ - now()) / kj::NANOSECONDS));
  bool busy = false;
  try {
    mirror_.emplace(
        openMirror(config_, spoke_, store_, Mirror::Access::WRITE_AT_ONCE, wallClockNanos()));
  } catch (const Failure& e) {
    if (e.id() != FailureId::MIRROR_IN_USE) throw;
    busy = true;
  }
  if (busy) {
    busyUntil_ = now() + LOCK_AGAIN;
    return nullptr;
  }
  locked_ = now();
  return &*mirror_;
}

void LiveMirror::endOfBlock() {
  KJ_REQUIRE(tail_ == nullptr, "a block that ends inside a file");
  fetchAnnounced();
}

void LiveMirror::fetchAnnounced() {
  if (toFetch_.empty()) return;
  auto* mirror = lock();
  if (mirror == nullptr) return;
  std::vector<RemoteFile> files;
  for (auto& [path, file] : toFetch_) files.push_back(file);
  toFetch_.clear();
  fetch(*mirror, files, Reading::TAIL);
}

PlannedFile LiveMirror::plan(Mirror& mirror, const RemoteFile& remote, Reading reading) {
  PlannedFile file{remote, ChangeKind::NEW};
  KJ_IF_MAYBE(there, mirror.openFile(remote.path)) {
    file.basis = remote.path;
    file.basisSize = there->size;
    // A smaller size was told before the mirror had so much, more often than it is the true one.
    file.remote.size = std::max(remote.size, there->size);
    auto* known = files_.find(remote.path);
    if (reading == Reading::TAIL && known != nullptr && known->isAsLeft(there->size, there->mtime))
      file.live = std::make_shared<LiveFile>(*known);
  }
  return file;
}

void LiveMirror::fetch(Mirror& mirror, const std::vector<RemoteFile>& files, Reading reading) {
  std::vector<PlannedFile> planned;
  Paths fetched;
  for (auto& remote : files) {
    fetched.insert(remote.path);
    planned.push_back(plan(mirror, remote, reading));
  }
  std::erase_if(later_, [&](auto& one) { return fetched.contains(one.second.path); });
  Transfer transfer(mirror, session_, mirror.keepsModes(), report_, unseen_);
  transfer.remember(files_);
  report_.changes.clear();
  transfer.run(planned);
  tellOfFetched();
  auto deferred = transfer.deferred();
  for (auto& file : planned) {
    if (deferred.contains(file.remote.path)) later_.emplace(now() + ASK_AGAIN, file.remote);
  }
  // Its pass tries again, and says what is wrong.
  needsScan_ |= !transfer.failed().empty();
}

void LiveMirror::tellOfFetched() {
  for (auto& change : report_.changes) {
    if (change.kind == ChangeKind::TOUCH) continue;
    auto* file = files_.find(change.path);
    uint64_t from = change.kind == ChangeKind::GROW ? change.size - change.added : 0;
    observer_.changed({change.kind, change.path, from, change.size,
                       file == nullptr ? 0 : file->written, wallClockNanos()});
  }
}

void LiveMirror::proveClaimed() {
  auto time = now();
  std::vector<RemoteFile> files;
  for (auto& [path, file] : files_.all()) {
    if (!isToBeProved(file) || provableAt(file) > time) continue;
    files.push_back({*file.id, path, file.size, file.written, 0});
  }
  if (files.empty()) return;
  auto* mirror = lock();
  if (mirror == nullptr) return;
  for (auto& remote : files) {
    // Whatever becomes of it, not at once again.
    files_.find(remote.path)->changed = time;
  }
  fetch(*mirror, files, Reading::WHOLE);
}

void LiveMirror::proceed() {
  auto time = now();
  while (!later_.empty() && later_.begin()->first <= time) {
    auto file = later_.begin()->second;
    later_.erase(later_.begin());
    toFetch_.emplace(file.path, file);
  }
  fetchAnnounced();
  proveClaimed();
  if (mirror_ && now() - locked_ >= FLUSH_AFTER) close();
}

kj::Duration LiveMirror::dueIn() const {
  auto time = now();
  auto due = time + 1 * kj::HOURS;
  if (mirror_) due = kj::min(due, locked_ + FLUSH_AFTER);
  if (!toFetch_.empty()) due = kj::min(due, busyUntil_);
  if (!later_.empty()) due = kj::min(due, later_.begin()->first);
  for (auto& [path, file] : files_.all()) {
    if (isToBeProved(file)) due = kj::min(due, provableAt(file));
  }
  return kj::max(due - time, 0 * kj::SECONDS) + 5 * kj::MILLISECONDS;
}

void LiveMirror::close() {
  if (!mirror_) return;
  // It is unlocked even if the flush fails.
  KJ_DEFER({
    mirror_.reset();
    free_ = now() + LET_OTHERS_IN;
  });
  mirror_->finish({});
  auto before = std::exchange(wire_, session_.wire());
  observer_.flushed({wire_.up - before.up, wire_.down - before.down});
}

}  // namespace pibrain
