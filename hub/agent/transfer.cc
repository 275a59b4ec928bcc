#include "hub/agent/transfer.h"

#include <absl/strings/str_cat.h>
#include <kj/debug.h>
#include <kj/time.h>

#include <deque>

#include "common/fs/io-error.h"
#include "common/text/escape.h"
#include "common/wire/protocol.h"
#include "hub/base/exceptions.h"
#include "hub/base/failure.h"
#include "hub/base/reason.h"

namespace pibrain {

namespace {

// How much of the mirror to read for one pull, so that the connection does not seem dead meanwhile.
constexpr uint64_t MAX_BASIS = 256 * 1024 * 1024;
// The hub does not receive more than this only to ignore it.
constexpr uint64_t MAX_IGNORED = 4 * 1024 * 1024;
constexpr size_t MAX_NAMED = 5;
// After so many bytes without room on the disk, only files that may fit are requested.
constexpr uint64_t MAX_IN_VAIN = 64 * 1024 * 1024;

using State = FileTransfer::State;

// Returns the most content bytes for a file of this size: a delta is at worst little larger than
// the file. Otherwise a peer could send useless content for ever.
uint64_t maxContentBytes(uint64_t size) {
  return (size <= uint64_t(INT64_MAX) ? size + size / 8 : 0) + 64 * 1024;
}

}  // namespace

void Transfer::run(const std::vector<PlannedFile>& files) {
  if (mirror_.endedUncleanly()) mirror_.writeCache();
  std::deque<FileTransfer*> queue;
  uint64_t bytes = 0;
  for (auto& planned : files) {
    queue.push_back(&files_.emplace_back(planned, mirror_, candidates_, session_.secret()));
    bytes += queue.back()->expectedBytes();
  }
  progress_.bytes = bytes;
  progress_.files = uint32_t(files.size());
  progress_.phase = Progress::Phase::FETCHING;
  // Files that came before a failure are good.
  KJ_ON_SCOPE_FAILURE(kj::runCatchingExceptions([this]() { commit(); }));
  while (!queue.empty()) {
    std::vector<FileTransfer*> batch;
    while (!queue.empty() && batch.size() < MAX_WANTS) {
      batch.push_back(queue.front());
      queue.pop_front();
    }
    pullBatch(batch);
    // Retries come next, so that files stay in order.
    queue.insert(queue.begin(), retries_.begin(), retries_.end());
    retries_.clear();
  }
  commit();
}

Paths Transfer::movedFrom() const {
  Paths paths;
  for (auto& file : files_) {
    if (file.state() == State::PUBLISHED && !file.movedFrom().empty()) {
      paths.insert(file.movedFrom());
    }
  }
  return paths;
}

Paths Transfer::left() const {
  auto paths = unfinishedMoves();
  for (auto& file : files_) {
    bool stays = file.state() != State::PUBLISHED && !file.planned().basis.empty();
    if (stays) paths.insert(file.planned().basis);
  }
  return paths;
}

Paths Transfer::fetched() const {
  Paths paths;
  for (auto& file : files_) {
    if (file.state() == State::PUBLISHED) paths.insert(file.path());
  }
  return paths;
}

Paths Transfer::deferred() const {
  Paths paths;
  for (auto& file : files_) {
    if (file.state() == State::DEFERRED) paths.insert(file.path());
  }
  return paths;
}

Paths Transfer::unfinishedMoves() const {
  Paths paths;
  for (auto& file : files_) {
    if (file.state() == State::PUBLISHED) continue;
    paths.insert(file.planned().candidates.begin(), file.planned().candidates.end());
  }
  return paths;
}

std::vector<Want> Transfer::makeWants(std::vector<FileTransfer*>& files) {
  std::vector<Want> wants;
  size_t signatures = 0;
  uint64_t basis = 0;
  for (auto* file : files) {
    if (wants.size() >= MAX_WANTS || basis >= MAX_BASIS) {
      retries_.push_back(file);
      continue;
    }
    if (!isWorthAsking(*file)) {
      fail(*file, "the hub's disk has no room for it", mirror_.makeRoom());
      continue;
    }
    try {
      auto want = file->prepare();
      if (!want) {
        retries_.push_back(file);
        continue;
      }
      if (!wants.empty() && signatures + want->signature.size() > MAX_WANTED_SIGNATURES) {
        // Kept, since making it again is expensive.
        file->keep(kj::mv(*want));
        basis = MAX_BASIS;
        retries_.push_back(file);
        continue;
      }
      signatures += want->signature.size();
      basis += file->basis().size;
      KJ_REQUIRE(outstanding_.emplace(want->file, file).second, "two files of one id");
      wants.push_back(kj::mv(*want));
    } catch (const kj::Exception& e) {
      if (e.getType() != kj::Exception::Type::FAILED) throw;
      fail(*file, messageOf(e));
    }
  }
  return wants;
}

void Transfer::pullBatch(std::vector<FileTransfer*>& files) {
  auto wants = makeWants(files);
  if (wants.empty()) return;
  KJ_ON_SCOPE_FAILURE(answer_.reset());
  session_.pull(kj::arrayPtr(wants.data(), wants.size()), [this](proto::Event::Reader event) {
    onEvent(event);
    return !answerInVain_ && !roomInVain_;
  });
  if (answerInVain_ || roomInVain_) {
    // Files that were not answered are requested again.
    for (auto& want : wants) {
      auto left = outstanding_.find(want.file);
      if (left == outstanding_.end()) continue;
      left->second->requeue();
      retries_.push_back(left->second);
    }
    outstanding_.clear();
    answer_.reset();
    answerInVain_ = roomInVain_ = false;
  }
  KJ_REQUIRE(!answer_.has_value() && outstanding_.empty(), "the agent did not answer every want");
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
      onEnd(Digest::from(event.getEnd()));
      break;
    case proto::Event::DIFFERS:
      onDiffers(event.getDiffers());
      break;
    case proto::Event::REFUSED:
      onRefused(event.getRefused());
      break;
    default:
      KJ_FAIL_REQUIRE("an event that does not belong in a pull", uint(event.which()));
  }
}

FileTransfer& Transfer::answered(uint32_t file) {
  auto found = outstanding_.find(file);
  KJ_REQUIRE(found != outstanding_.end(), "an answer that was not requested", file);
  auto& transfer = *found->second;
  outstanding_.erase(found);
  return transfer;
}

void Transfer::onBegin(proto::Begin::Reader begin) {
  KJ_REQUIRE(!answer_.has_value(), "a file inside a file");
  auto& file = answered(begin.getFile());
  bool delta = begin.getContent() == proto::Begin::Content::DELTA ||
               begin.getContent() == proto::Begin::Content::FORK;
  answer_ = Answer{&file,
                   nullptr,
                   delta,
                   maxContentBytes(begin.getSize()),
                   begin.getMtime(),
                   begin.getUnsettled()};
  try {
    answer_->receiver = std::make_unique<FileReceiver>(
        mirror_, file.path(), file.basis(), begin, file.kind(), keepModes_,
        file.planned().basis == file.path(), session_.secret());
  } catch (const kj::Exception& e) {
    return failAnswer(e);
  }
  forAnswer([&]() {
    if (answer_->receiver->open(begin) != FileReceiver::Fit::FITS) giveUpAnswer();
  });
}

void Transfer::onData(proto::Piece::Reader piece) {
  KJ_REQUIRE(answer_.has_value(), "content outside a file");
  size_t size = piece.getBytes().size();
  KJ_REQUIRE(size > 0, "an empty piece of content");
  KJ_REQUIRE(size <= answer_->mayBring, "more content than the announced size can need");
  answer_->mayBring -= size;
  report_.bytesLiteral += size;
  progress_.bytesDone += size;
  forAnswer([&]() { answer_->receiver->data(piece); });
}

void Transfer::forAnswer(kj::FunctionParam<void()> work) {
  if (answer_->receiver == nullptr) return;
  try {
    work();
  } catch (const kj::Exception& e) {
    failAnswer(e);
  }
}

void Transfer::onEnd(Digest hash) {
  KJ_REQUIRE(answer_.has_value(), "an end outside a file");
  forAnswer([&]() {
    if (answer_->receiver->end(hash) != FileReceiver::Fit::FITS) return giveUpAnswer();
    auto& file = *answer_->file;
    if (live_ != nullptr) rememberLive(*answer_);
    file.received(answer_->receiver->size());
    received_.push_back(&file);
    finish(file);
  });
  answer_.reset();
  answerInVain_ = false;  // no more of it comes
  proceed();
}

void Transfer::rememberLive(const Answer& answer) {
  auto& receiver = *answer.receiver;
  LiveFile file;
  file.id = answer.file->planned().remote.id;
  file.size = receiver.size();
  file.written = answer.written;
  file.times[0] = mirror_.earlierThan(receiver.mtime());
  file.times[1] = receiver.mtime();
  file.hasher = receiver.hasher();
  file.changed = kj::systemCoarseMonotonicClock().now();
  file.unproved = answer.unsettled || answer.file->method() == Method::FOLLOW;
  if (!file.unproved) {
    file.proved = file.changed;
  } else if (auto* before = live_->find(answer.file->path())) {
    file.proved = before->proved;
  }
  live_->keep(answer.file->path(), std::move(file));
}

void Transfer::onDiffers(uint32_t id) {
  KJ_REQUIRE(!answer_.has_value(), "an answer inside a file");
  auto& file = answered(id);
  KJ_REQUIRE(file.kind() == Want::Kind::PREFIX, "no prefix was asked about");
  tryNext(file);
}

void Transfer::onRefused(proto::Refused::Reader refused) {
  if (answer_) {
    // Refused in the middle of a file: what came is useless.
    KJ_REQUIRE(refused.getFile() == answer_->file->planned().remote.id, "an answer inside a file");
    bool dealtWith = answer_->receiver == nullptr;
    if (!dealtWith) outstanding_.emplace(refused.getFile(), answer_->file);
    answer_.reset();
    if (dealtWith) return;
  }
  auto& file = answered(refused.getFile());
  auto reason = refused.getReason();
  switch (reason) {
    case proto::Reason::VANISHED:
      file.end(State::VANISHED);
      return finish(file);  // the next listing will not have the file
    case proto::Reason::UNFINISHED_LINE:
      return defer(file);
    case proto::Reason::CHANGING:
      if (!file.retry()) return defer(file);
      retries_.push_back(&file);
      return;
    case proto::Reason::BAD_REQUEST:
      if (file.method() != Method::WHOLE) return tryNext(file);
      break;
    default:
      break;
  }
  fail(file, describe(reason));
}

void Transfer::tryNext(FileTransfer& file) {
  file.tryNext();
  retries_.push_back(&file);
}

void Transfer::giveUpAnswer() {
  answer_->receiver = nullptr;
  tryNext(*answer_->file);
  answerInVain_ = answer_->mayBring > MAX_IGNORED;
}

// Handles an error of the file that is being received. After a failed delta the next method is
// tried; an error that is not about the file or its disk space ends the run.
void Transfer::failAnswer(const kj::Exception& error) {
  answer_->receiver = nullptr;
  auto& file = *answer_->file;
  answerInVain_ = answer_->mayBring > MAX_IGNORED;
  if (isDiskFull(error)) return failForRoom(file, messageOf(error));
  if (error.getType() != kj::Exception::Type::FAILED) {
    noteFailure(file.path(), messageOf(error));
    auto why = absl::StrCat(escapeBriefly(file.path()), ": ", messageOf(error));
    kj::throwFatalException(
        kj::Exception(error.getType(), error.getFile(), error.getLine(), kj::heapString(why)));
  }
  if (answer_->delta && file.method() != Method::WHOLE) return tryNext(file);
  auto number = errnoOf(error);
  fail(file, messageOf(error), number ? remedyFor(*number, mirror_.path()) : std::nullopt);
}

void Transfer::failForRoom(FileTransfer& file, const std::string& why) {
  bool enough = cameInVain_ > MAX_IN_VAIN;
  cameInVain_ += file.expectedBytes();
  // Files on their way are requested again if they may fit.
  roomInVain_ = !enough && cameInVain_ > MAX_IN_VAIN;
  fail(file, why, mirror_.makeRoom());
}

bool Transfer::isWorthAsking(const FileTransfer& file) const {
  if (cameInVain_ <= MAX_IN_VAIN) return true;
  auto& planned = file.planned();
  bool newFile = planned.basis.empty() || planned.remote.size < planned.basisSize;
  return planned.kind == ChangeKind::MOVE || mirror_.hasRoomFor(file.expectedBytes(), newFile);
}

void Transfer::fail(FileTransfer& file, const std::string& why,
                    const std::optional<Remedy>& remedy) {
  file.end(State::FAILED);
  finish(file);
  noteFailure(file.path(), why, remedy);
}

void Transfer::noteFailure(const std::string& path, const std::string& why,
                           const std::optional<Remedy>& remedy) {
  if (remedy) remedies_.insert(*remedy);
  failed_.insert(path);
  failures_.push_back(absl::StrCat(escapeBriefly(path), ": ", elideMiddle(why, MAX_OWN_TEXT)));
}

void Transfer::defer(FileTransfer& file) {
  ++report_.counts.deferred;
  if (report_.deferred.size() < MAX_NAMED) report_.deferred.push_back(file.path());
  file.end(State::DEFERRED);
  finish(file);
}

void Transfer::finish(FileTransfer& file) {
  bytesFinished_ += file.expectedBytes();
  progress_.bytesDone = bytesFinished_;
  ++progress_.filesDone;
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
    noteFailure(one.path, messageOf(one.why), one.remedy);
  }
  for (auto* file : received) {
    if (failed.contains(file->path())) {
      file->end(State::FAILED);
    } else {
      recordChange(*file);
    }
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

void Transfer::recordChange(FileTransfer& file) {
  file.published();
  auto& planned = file.planned();
  auto movedFrom = file.movedFrom();
  auto kind = ChangeKind::NEW;
  if (!movedFrom.empty()) {
    kind = ChangeKind::MOVE;
  } else if (planned.basis == file.path()) {
    kind = !file.extends()                   ? ChangeKind::REWRITE
           : file.size() > planned.basisSize ? ChangeKind::GROW
                                             : ChangeKind::TOUCH;
  }
  // Comparing a file again because it was fresh before is not a change.
  if (kind == ChangeKind::TOUCH && file.wasFresh()) return;
  countChange(kind, report_.counts);
  uint64_t added = kind == ChangeKind::GROW ? file.size() - planned.basisSize : 0;
  report_.bytesGrown += added;
  report_.changes.push_back({kind, file.path(), movedFrom, file.size(), added});
}

}  // namespace pibrain
