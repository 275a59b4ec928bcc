#include "hub/agent/transfer.h"

#include <absl/strings/str_cat.h>
#include <kj/debug.h>

#include <deque>

#include "common/fs/file-io.h"
#include "common/text/text.h"
#include "common/wire/protocol.h"
#include "hub/base/failure.h"
#include "hub/base/reason.h"

namespace pibrain {

namespace {

// One pull asks after reading so much of the mirror, lest the connection look dead meanwhile.
constexpr uint64_t MAX_BASIS = 256 * 1024 * 1024;
// For a file of less than this a signature saves nothing over sending it, compressed.
constexpr uint64_t MIN_DELTA = 16 * 1024;
constexpr int MAX_RETRIES = 2;
// More than this is not received only to be ignored.
constexpr uint64_t MAX_IGNORED = 4 * 1024 * 1024;
constexpr size_t MAX_NAMED = 5;
// After so much for which there turned out to be no room, only what may fit is asked for.
constexpr uint64_t MAX_IN_VAIN = 64 * 1024 * 1024;

// The strong sums of a very large file are shortened, to make one request. What comes of them is
// checked as a whole, so a collision costs time and nothing else.
uint32_t strongLengthFor(uint64_t size) {
  constexpr uint32_t SHORT = 12;
  return signatureLength(size, 0) <= MAX_WANTED_SIGNATURES ? 0 : SHORT;
}

// The most that comes of a file of this size: a delta is little more than the file, at worst. A
// peer could otherwise send what makes nothing, or what is ignored, for ever.
uint64_t mostContent(uint64_t size) {
  return (size <= uint64_t(INT64_MAX) ? size + size / 8 : 0) + 64 * 1024;
}

// How much content a file will probably need.
uint64_t expectedBytes(const PlannedFile& planned) {
  if (planned.kind == ChangeKind::MOVE) return 0;
  uint64_t size = planned.remote.size;
  return size >= planned.basisSize ? size - planned.basisSize : size;
}

}  // namespace

void Transfer::run(const std::vector<PlannedFile>& files) {
  uint64_t bytes = 0;
  for (auto& planned : files) bytes += expectedBytes(planned);
  progress_.bytes = bytes;
  progress_.files = uint32_t(files.size());
  progress_.phase = Progress::Phase::FETCHING;
  if (mirror_.endedUncleanly()) mirror_.writeCache();
  std::deque<Job*> queue;
  for (auto& planned : files) {
    jobs_.push_back({&planned, firstWay(planned), planned.basis});
    queue.push_back(&jobs_.back());
  }
  // What came before the end is good, whatever the end was.
  KJ_ON_SCOPE_FAILURE(kj::runCatchingExceptions([this]() { commit(); }));
  while (!queue.empty()) {
    std::vector<Job*> batch;
    while (!queue.empty() && batch.size() < MAX_WANTS) {
      batch.push_back(queue.front());
      queue.pop_front();
    }
    round(batch);
    // What did not fit or has to be tried another way comes next, so that files stay in order.
    queue.insert(queue.begin(), again_.begin(), again_.end());
    again_.clear();
  }
  commit();
}

Transfer::Way Transfer::firstWay(const PlannedFile& planned) {
  if (planned.kind == ChangeKind::MOVE) return Way::TAIL;
  // What is lost may be anywhere in what was written then.
  if (mirror_.mayBeLost(planned.remote.path)) {
    return planned.basisSize > 0 ? Way::WHOLE : Way::NEW;
  }
  auto isStaged = [&](Mirror::Staged what) {
    return mirror_.openPartial(planned.remote.path, what) != nullptr;
  };
  if (mirror_.endedUncleanly() &&
      (isStaged(Mirror::Staged::FILE) || isStaged(Mirror::Staged::TAIL))) {
    return Way::CONTINUE;
  }
  if (planned.basisSize == 0) return Way::NEW;
  return planned.remote.size >= planned.basisSize ? Way::TAIL : Way::DELTA;
}

// Feeds what a proof is about to the basis' hasher. False if that is not to be had.
bool Transfer::hashBasis(const Mirror::File& file, Basis& basis) {
  if (mirror_.endedUncleanly()) mirror_.readFromDisk(file);
  basis.size += file.size;
  return file.size > 0 && hashPrefix(file.fd, file.size, basis.hasher) == file.size;
}

bool Transfer::isMove(const Job& job) {
  return job.planned->kind == ChangeKind::MOVE && job.way == Way::TAIL;
}

bool Transfer::nextCandidate(Job& job, bool& wait) {
  auto& candidates = job.planned->candidates;
  for (; job.nextCandidate < candidates.size(); ++job.nextCandidate) {
    auto& path = candidates[job.nextCandidate];
    if (spent_.contains(path) || mirror_.mayBeLost(path)) continue;
    wait = !trying_.insert(path).second;
    if (wait) return false;
    ++job.nextCandidate;
    job.basisPath = path;
    return true;
  }
  return false;
}

void Transfer::fallBack(Job& job) {
  if (isMove(job)) {
    trying_.erase(job.basisPath);
    job.basisPath.clear();
    return;
  }
  auto& planned = *job.planned;
  job.way = Way(int(job.way) + 1);
  if (job.way == Way::TAIL && planned.basisSize == 0) job.way = Way::NEW;
  if (job.way == Way::TAIL && planned.remote.size < planned.basisSize) job.way = Way::DELTA;
}

Paths Transfer::left() const {
  auto paths = unfinishedMoves();
  for (auto& job : jobs_) {
    if (!job.done && !job.planned->basis.empty()) paths.insert(job.planned->basis);
  }
  return paths;
}

Paths Transfer::fetched() const {
  Paths paths;
  for (auto& job : jobs_) {
    if (job.done) paths.insert(job.planned->remote.path);
  }
  return paths;
}

Paths Transfer::unfinishedMoves() const {
  Paths paths;
  for (auto& job : jobs_) {
    if (!job.done) paths.insert(job.planned->candidates.begin(), job.planned->candidates.end());
  }
  return paths;
}

bool Transfer::prepareBasis(Job& job) {
  auto& planned = *job.planned;
  job.basis = nullptr;
  if (job.way == Way::NEW || job.way == Way::WHOLE) return true;
  if (job.way == Way::DELTA &&
      (planned.kind == ChangeKind::MOVE || planned.remote.size < MIN_DELTA)) {
    return false;
  }
  auto basis = std::make_unique<Basis>();
  basis->hasher = FileHasher(session_.secret());
  if (job.way == Way::CONTINUE) {
    KJ_IF_MAYBE(file, mirror_.openPartial(planned.remote.path)) {
      basis->kind = Basis::Kind::PARTIAL;
      if (file->size > planned.remote.size || !hashBasis(*file, *basis)) return false;
      job.basis = std::move(basis);
      return true;
    }
    if (planned.basis.empty()) return false;
  }
  auto opened = mirror_.openFile(job.basisPath);
  KJ_IF_MAYBE(file, opened) {
    basis->kind = Basis::Kind::MIRROR;
    basis->path = job.basisPath;
    basis->mtime = file->mtime;
    if (job.way == Way::DELTA) {
      basis->size = file->size;
      job.basis = std::move(basis);
      return file->size > 0 &&
             signatureLength(file->size, strongLengthFor(file->size)) <= MAX_WANTED_SIGNATURE;
    }
    if (file->size > planned.remote.size || !hashBasis(*file, *basis)) return false;
  } else {
    return false;
  }
  if (job.way == Way::CONTINUE) {
    auto tail = mirror_.openPartial(planned.remote.path, Mirror::Staged::TAIL);
    KJ_IF_MAYBE(file, tail) {
      basis->stagedTail = file->size;
      if (basis->size + file->size > planned.remote.size || !hashBasis(*file, *basis)) return false;
    } else {
      return false;
    }
  }
  job.basis = std::move(basis);
  return true;
}

Want::Kind Transfer::kindFor(Way way) {
  switch (way) {
    case Way::CONTINUE:
    case Way::TAIL:
      return Want::Kind::PREFIX;
    case Way::DELTA:
      return Want::Kind::SIGNATURE;
    case Way::NEW:
      return Want::Kind::NEW;
    case Way::WHOLE:
      break;
  }
  return Want::Kind::WHOLE;
}

std::optional<Want> Transfer::prepare(Job& job) {
  for (;;) {
    bool wait = false;
    if (isMove(job) && job.basisPath.empty() && !nextCandidate(job, wait)) {
      if (wait) return std::nullopt;
      job.way = Way::NEW;
    }
    if (prepareBasis(job)) break;
    fallBack(job);
  }
  Want want;
  want.file = job.planned->remote.id;
  want.kind = kindFor(job.way);
  if (want.kind == Want::Kind::PREFIX) {
    want.prefixSize = job.basis->size;
    want.prefixHash = job.basis->hasher.digest();
  }
  if (want.kind != Want::Kind::SIGNATURE) return want;
  auto file = KJ_REQUIRE_NONNULL(mirror_.openFile(job.basis->path), "the basis is gone");
  kj::Vector<kj::byte> signature;
  makeSignature(file.fd, file.size, 0, strongLengthFor(file.size),
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature.addAll(bytes); });
  want.signature = signature.releaseAsArray();
  return want;
}

void Transfer::round(std::vector<Job*>& jobs) {
  std::vector<Want> wants;
  size_t signatures = 0;
  uint64_t basis = 0;
  for (auto* job : jobs) {
    bool full = wants.size() >= MAX_WANTS || basis >= MAX_BASIS;
    if (full) {
      again_.push_back(job);
      continue;
    }
    if (!isWorthAsking(*job)) {
      fail(*job, "there is no room for it on the hub's disk", mirror_.howToMakeRoom());
      continue;
    }
    try {
      auto prepared = job->prepared ? kj::mv(job->prepared) : prepare(*job);
      job->prepared.reset();
      if (!prepared) {
        again_.push_back(job);
        continue;
      }
      auto& want = *prepared;
      if (!wants.empty() && signatures + want.signature.size() > MAX_WANTED_SIGNATURES) {
        // It is not worth making twice.
        job->prepared = kj::mv(want);
        basis = MAX_BASIS;
        again_.push_back(job);
        continue;
      }
      signatures += want.signature.size();
      if (job->basis != nullptr) basis += job->basis->size;
      KJ_REQUIRE(open_.emplace(want.file, job).second, "two files of one id");
      wants.push_back(kj::mv(want));
    } catch (const kj::Exception& e) {
      if (e.getType() != kj::Exception::Type::FAILED) throw;
      fail(*job, plainWords(e));
    }
  }
  if (wants.empty()) return;
  KJ_ON_SCOPE_FAILURE(incoming_ = nullptr);
  session_.pull(kj::arrayPtr(wants.data(), wants.size()), [this](proto::Event::Reader event) {
    onEvent(event);
    return !abandoned_ && !askAnew_;
  });
  if (abandoned_ || askAnew_) {
    // What was not answered is asked for again.
    for (auto& want : wants) {
      auto left = open_.find(want.file);
      if (left != open_.end()) again_.push_back(left->second);
    }
    open_.clear();
    current_ = nullptr;
    abandoned_ = askAnew_ = false;
  }
  KJ_REQUIRE(current_ == nullptr && open_.empty(), "the agent did not answer every want");
}

void Transfer::onEvent(proto::Event::Reader event) {
  switch (event.which()) {
    case proto::Event::BEGIN:
      onBegin(event.getBegin());
      break;
    case proto::Event::DATA:
      onData(event.getData());
      break;
    case proto::Event::END:
      KJ_REQUIRE(current_ != nullptr, "an end outside a file");
      onEnd(Digest::from(event.getEnd()));
      break;
    case proto::Event::DIFFERS: {
      KJ_REQUIRE(current_ == nullptr, "an answer inside a file");
      auto& job = jobFor(event.getDiffers());
      KJ_REQUIRE(job.way == Way::CONTINUE || job.way == Way::TAIL, "no prefix was asked about");
      tryNextWay(job);
      break;
    }
    case proto::Event::REFUSED:
      onRefused(event.getRefused());
      break;
    default:
      KJ_FAIL_REQUIRE("an event that does not belong in a pull", uint(event.which()));
  }
}

Transfer::Job& Transfer::jobFor(uint32_t file) {
  auto found = open_.find(file);
  KJ_REQUIRE(found != open_.end(), "an answer to what was not asked", file);
  auto& job = *found->second;
  open_.erase(found);
  return job;
}

void Transfer::onBegin(proto::Begin::Reader begin) {
  KJ_REQUIRE(current_ == nullptr, "a file inside a file");
  current_ = &jobFor(begin.getFile());
  incoming_ = nullptr;
  auto& job = *current_;
  currentIsDelta_ = begin.getContent() == proto::Begin::Content::DELTA ||
                    begin.getContent() == proto::Begin::Content::FORK;
  currentMayBring_ = mostContent(begin.getSize());
  static const Basis NOTHING;
  try {
    auto& planned = *job.planned;
    incoming_ = std::make_unique<Incoming>(
        mirror_, planned.remote.path, job.basis == nullptr ? NOTHING : *job.basis, begin,
        kindFor(job.way), keepModes_, planned.basis == planned.remote.path, session_.secret());
  } catch (const kj::Exception& e) {
    failCurrent(e);
  }
}

void Transfer::onData(proto::Piece::Reader piece) {
  KJ_REQUIRE(current_ != nullptr, "content outside a file");
  size_t size = piece.getBytes().size();
  KJ_REQUIRE(size > 0, "a piece of content without any");
  KJ_REQUIRE(size <= currentMayBring_, "more content than the announced size can need");
  currentMayBring_ -= size;
  report_.bytesLiteral += size;
  progress_.bytesDone += size;
  guarded([&]() { incoming_->data(piece); });
}

// Runs what belongs to the current file.
void Transfer::guarded(kj::FunctionParam<void()> work) {
  if (incoming_ == nullptr) return;
  try {
    work();
  } catch (const kj::Exception& e) {
    incoming_ = nullptr;
    failCurrent(e);
  }
}

void Transfer::onEnd(Digest hash) {
  guarded([&]() {
    incoming_->end(hash);
    auto& job = *current_;
    auto& planned = *job.planned;
    job.size = incoming_->size();
    job.extends = job.way == Way::TAIL || planned.basisSize == 0 ||
                  (job.basis != nullptr && job.basis->stagedTail > 0);
    job.again = job.basis != nullptr && job.basis->mtime < INT64_MAX &&
                job.basis->mtime == mirror_.earlierThan(planned.remote.mtime);
    if (isMove(job)) spent_.insert(job.basisPath);
    received_.push_back(&job);
    finish(job);
  });
  incoming_ = nullptr;
  current_->basis = nullptr;
  current_ = nullptr;
  abandoned_ = false;  // there is no more of it
  proceed();
}

void Transfer::commit() {
  auto received = std::move(received_);
  received_.clear();
  auto uncommitted = std::move(uncommitted_);
  uncommitted_.clear();
  for (auto& one : mirror_.commit()) uncommitted.push_back(kj::mv(one));
  Paths failed;
  for (auto& one : uncommitted) {
    failed.insert(one.path);
    noteFailure(one.path, plainWords(one.why), one.remedy);
  }
  for (auto* job : received) {
    if (!failed.contains(job->planned->remote.path)) count(*job);
  }
  Mirror::requireOfSingleFiles(uncommitted);
}

void Transfer::proceed() {
  bool ends = false;
  for (auto& one : mirror_.proceed()) {
    ends |= one.why.getType() != kj::Exception::Type::FAILED;
    uncommitted_.push_back(kj::mv(one));
  }
  if (ends) commit();
}

void Transfer::onRefused(proto::Refused::Reader refused) {
  if (current_ != nullptr) {
    // In the middle of a file: what came is worth nothing.
    KJ_REQUIRE(refused.getFile() == current_->planned->remote.id, "an answer inside a file");
    bool given = incoming_ == nullptr;  // up already: it has been dealt with
    open_.emplace(refused.getFile(), current_);
    incoming_ = nullptr;
    current_ = nullptr;
    if (given) {
      open_.erase(refused.getFile());
      return;
    }
  }
  auto& job = jobFor(refused.getFile());
  auto reason = refused.getReason();
  switch (reason) {
    case proto::Reason::VANISHED:
      return finish(job);  // the next listing will not have it
    case proto::Reason::UNFINISHED_LINE:
      return defer(job);
    case proto::Reason::CHANGING:
      if (++job.retries > MAX_RETRIES) return defer(job);
      again_.push_back(&job);
      return;
    case proto::Reason::BAD_REQUEST:
      if (job.way != Way::WHOLE) return tryNextWay(job);
      break;
    default:
      break;
  }
  fail(job, describe(reason));
}

void Transfer::tryNextWay(Job& job) {
  fallBack(job);
  again_.push_back(&job);
}

// An error of the current file's alone. A delta that does not work out is followed by another way;
// a full disk ends the run.
void Transfer::failCurrent(const kj::Exception& error) {
  if (lacksRoom(error)) return failForRoom(*current_, plainWords(error));
  if (error.getType() != kj::Exception::Type::FAILED) {
    auto& path = current_->planned->remote.path;
    noteFailure(path, plainWords(error));
    auto why = absl::StrCat(escapeBriefly(path), ": ", plainWords(error));
    kj::throwFatalException(
        kj::Exception(error.getType(), __FILE__, __LINE__, kj::heapString(why)));
  }
  if (currentIsDelta_ && current_->way != Way::WHOLE) {
    tryNextWay(*current_);
  } else {
    fail(*current_, plainWords(error));
  }
  abandoned_ = currentMayBring_ > MAX_IGNORED;
}

void Transfer::failForRoom(Job& job, const std::string& why) {
  bool enough = cameInVain_ > MAX_IN_VAIN;
  cameInVain_ += expectedBytes(*job.planned);
  abandoned_ = currentMayBring_ > MAX_IGNORED;
  // What is on its way is asked for again, as far as it may fit.
  askAnew_ = !enough && cameInVain_ > MAX_IN_VAIN;
  fail(job, why, mirror_.howToMakeRoom());
}

bool Transfer::isWorthAsking(const Job& job) const {
  if (cameInVain_ <= MAX_IN_VAIN) return true;
  auto& planned = *job.planned;
  bool newFile = planned.basis.empty() || planned.remote.size < planned.basisSize;
  return planned.kind == ChangeKind::MOVE || mirror_.hasRoomFor(expectedBytes(planned), newFile);
}

void Transfer::fail(Job& job, const std::string& why, const std::string& remedy) {
  finish(job);
  noteFailure(job.planned->remote.path, why, remedy);
}

void Transfer::noteFailure(const std::string& path, const std::string& why,
                           const std::string& remedy) {
  if (!remedy.empty()) remedies_.insert(remedy);
  failed_.insert(path);
  failures_.push_back(absl::StrCat(escapeBriefly(path), ": ", shorten(why, MAX_OWN_TEXT)));
}

void Transfer::defer(Job& job) {
  ++report_.counts.deferred;
  if (report_.deferred.size() < MAX_NAMED) report_.deferred.push_back(job.planned->remote.path);
  finish(job);
}

void Transfer::finish(Job& job) {
  trying_.erase(job.basisPath);
  bytesFinished_ += expectedBytes(*job.planned);
  progress_.bytesDone = bytesFinished_;
  ++progress_.filesDone;
}

void Transfer::count(Job& job) {
  auto& planned = *job.planned;
  job.done = true;
  auto kind = ChangeKind::NEW;
  if (planned.kind == ChangeKind::MOVE && job.way == Way::TAIL) {
    kind = ChangeKind::MOVE;
    movedFrom_.insert(job.basisPath);
  } else if (planned.basis == planned.remote.path) {
    kind = !job.extends                   ? ChangeKind::REWRITE
           : job.size > planned.basisSize ? ChangeKind::GROW
                                          : ChangeKind::TOUCH;
  }
  // The second look at a file that was fresh when it was fetched is no change.
  if (kind == ChangeKind::TOUCH && job.again) return;
  countChange(kind, report_.counts);
  uint64_t added = kind == ChangeKind::GROW ? job.size - planned.basisSize : 0;
  report_.bytesGrown += added;
  report_.changes.push_back(
      {kind, planned.remote.path, kind == ChangeKind::MOVE ? job.basisPath : "", job.size, added});
}

}  // namespace pibrain
