#include "hub/agent/file-transfer.h"

#include <kj/debug.h>

#include <algorithm>

#include "common/delta/delta.h"
#include "common/fs/file-io.h"
#include "common/wire/protocol.h"

namespace pibrain {

namespace {

// For a smaller file, a signature saves nothing over sending the whole file compressed.
constexpr uint64_t MIN_DELTA = 16 * 1024;
constexpr int MAX_RETRIES = 2;

// Shortens the strong sums of a very large file, so that the signature fits in one request. The
// result is checked as a whole, so a collision costs only time.
uint32_t strongLengthFor(uint64_t size) {
  constexpr uint32_t SHORT = 12;
  return signatureLength(size, 0) <= MAX_WANTED_SIGNATURES ? 0 : SHORT;
}

// Returns whether an interrupted run staged part of the file.
bool isStaged(Mirror& mirror, const std::string& path) {
  return mirror.endedUncleanly() && (mirror.openPartial(path, Mirror::Staged::FILE) != nullptr ||
                                     mirror.openPartial(path, Mirror::Staged::TAIL) != nullptr);
}

}  // namespace

Ladder ladderFor(const PlannedFile& planned, Mirror& mirror) {
  static constexpr Method MOVED[] = {Method::MOVED, Method::NEW, Method::WHOLE};
  static constexpr Method LOST[] = {Method::WHOLE};
  // CONTINUE is left out unless something is staged.
  static constexpr Method CREATED[] = {Method::CONTINUE, Method::NEW, Method::WHOLE};
  // If it does not go on from what is known, its beginning differs.
  static constexpr Method FOLLOWED[] = {Method::FOLLOW, Method::DELTA, Method::NEW, Method::WHOLE};
  static constexpr Method GROWN[] = {Method::CONTINUE, Method::TAIL, Method::DELTA, Method::NEW,
                                     Method::WHOLE};
  static constexpr Method CUT[] = {Method::CONTINUE, Method::DELTA, Method::NEW, Method::WHOLE};

  if (planned.kind == ChangeKind::MOVE) return MOVED;
  // Any part of what was written may be lost, so nothing of it is a basis.
  bool lost = mirror.mayBeLost(planned.remote.path);
  if (lost && planned.basisSize > 0) return LOST;
  Ladder ladder = planned.basisSize == 0                     ? Ladder(CREATED)
                  : planned.remote.size >= planned.basisSize ? Ladder(GROWN)
                                                             : Ladder(CUT);
  bool goesOn = !lost && isStaged(mirror, planned.remote.path);
  if (planned.live != nullptr && !lost && !goesOn) return FOLLOWED;
  return goesOn ? ladder : ladder.slice(1, ladder.size());
}

FileTransfer::FileTransfer(const PlannedFile& planned, Mirror& mirror, Candidates& candidates,
                           FileHasher::Secret secret)
    : planned_(planned),
      mirror_(mirror),
      candidates_(candidates),
      secret_(secret),
      ladder_(ladderFor(planned, mirror)) {}

std::optional<Want> FileTransfer::prepare() {
  if (kept_) {
    auto want = kj::mv(kept_);
    kept_.reset();
    become(State::ASKED);
    return want;
  }
  for (;; tryNext()) {
    if (method() == Method::MOVED && candidate_.empty()) {
      auto next = nextCandidate();
      if (next == Candidate::BUSY) return std::nullopt;
      if (next == Candidate::NONE) nextMethod();
    }
    if (prepareBasis()) break;
  }
  Want want;
  want.file = planned_.remote.id;
  want.kind = kind();
  if (want.kind == Want::Kind::PREFIX) {
    want.prefixSize = basis_->size;
    want.prefixHash = basis_->hasher.digest();
    want.asSent = method() == Method::FOLLOW;
  } else if (want.kind == Want::Kind::SIGNATURE) {
    want.signature = signature();
  }
  become(State::ASKED);
  return want;
}

void FileTransfer::keep(Want want) {
  kept_ = kj::mv(want);
  become(State::QUEUED);
}

void FileTransfer::tryNext() {
  become(State::QUEUED);
  if (method() != Method::MOVED) {
    nextMethod();
    return;
  }
  candidates_.asked.erase(candidate_);
  candidate_.clear();
}

void FileTransfer::nextMethod() {
  KJ_ASSERT(rung_ + 1 < ladder_.size(), "no method is left", path());
  ++rung_;
}

void FileTransfer::become(State next) {
  auto before = [&](std::initializer_list<State> states) {
    return std::find(states.begin(), states.end(), state_) != states.end();
  };
  bool possible = false;
  switch (next) {
    case State::QUEUED:
      possible = before({State::QUEUED, State::ASKED});
      break;
    case State::ASKED:
      possible = before({State::QUEUED});
      break;
    case State::RECEIVED:
      possible = before({State::ASKED});
      break;
    case State::PUBLISHED:
      possible = before({State::RECEIVED});
      break;
    case State::FAILED:
      possible = before({State::QUEUED, State::ASKED, State::RECEIVED});
      break;
    case State::DEFERRED:
    case State::VANISHED:
      possible = before({State::QUEUED, State::ASKED});
      break;
  }
  KJ_ASSERT(possible, "a file's states are out of order", path(), int(state_), int(next));
  state_ = next;
}

bool FileTransfer::retry() {
  become(State::QUEUED);
  return ++retries_ <= MAX_RETRIES;
}

void FileTransfer::received(uint64_t size) {
  size_ = size;
  extends_ = method() == Method::FOLLOW || method() == Method::TAIL || method() == Method::MOVED ||
             planned_.basisSize == 0 || basis().stagedTail > 0;
  wasFresh_ = basis().kind == Basis::Kind::MIRROR && basis().mtime < INT64_MAX &&
              basis().mtime == mirror_.earlierThan(planned_.remote.mtime);
  basis_ = nullptr;
  if (method() == Method::MOVED) candidates_.taken.insert(candidate_);
  candidates_.asked.erase(candidate_);
  become(State::RECEIVED);
}

const Basis& FileTransfer::basis() const {
  static const Basis NOTHING;
  return basis_ == nullptr ? NOTHING : *basis_;
}

std::string FileTransfer::movedFrom() const {
  bool came = state_ == State::RECEIVED || state_ == State::PUBLISHED;
  return came && method() == Method::MOVED ? candidate_ : "";
}

void FileTransfer::end(State how) {
  basis_ = nullptr;
  candidates_.asked.erase(candidate_);
  become(how);
}

Want::Kind FileTransfer::kind() const {
  switch (method()) {
    case Method::CONTINUE:
    case Method::MOVED:
    case Method::FOLLOW:
    case Method::TAIL:
      return Want::Kind::PREFIX;
    case Method::DELTA:
      return Want::Kind::SIGNATURE;
    case Method::NEW:
      return Want::Kind::NEW;
    case Method::WHOLE:
      break;
  }
  return Want::Kind::WHOLE;
}

uint64_t FileTransfer::expectedBytes() const {
  if (planned_.kind == ChangeKind::MOVE) return 0;
  uint64_t size = planned_.remote.size;
  return size >= planned_.basisSize ? size - planned_.basisSize : size;
}

FileTransfer::Candidate FileTransfer::nextCandidate() {
  for (; nextCandidate_ < planned_.candidates.size(); ++nextCandidate_) {
    auto& path = planned_.candidates[nextCandidate_];
    if (candidates_.taken.contains(path) || mirror_.mayBeLost(path)) continue;
    if (!candidates_.asked.insert(path).second) return Candidate::BUSY;
    ++nextCandidate_;
    candidate_ = path;
    return Candidate::TAKEN;
  }
  return Candidate::NONE;
}

// Prepares the basis of the method. Returns false if there is none.
bool FileTransfer::prepareBasis() {
  basis_ = nullptr;
  if (method() == Method::NEW || method() == Method::WHOLE) return true;
  basis_ = std::make_unique<Basis>();
  basis_->hasher = FileHasher(secret_);
  switch (method()) {
    case Method::CONTINUE:
      return continueBasis();
    case Method::MOVED:
      return prefixBasis(candidate_);
    case Method::FOLLOW:
      return knownBasis();
    case Method::TAIL:
      return prefixBasis(planned_.basis);
    case Method::DELTA:
      return deltaBasis();
    default:
      return true;
  }
}

// The staged part is either the beginning of the file, or a tail for the existing file.
bool FileTransfer::continueBasis() {
  KJ_IF_MAYBE(file, mirror_.openPartial(path())) {
    basis_->kind = Basis::Kind::PARTIAL;
    return file->size <= planned_.remote.size && hash(*file);
  }
  if (planned_.basis.empty() || !prefixBasis(planned_.basis)) return false;
  KJ_IF_MAYBE(file, mirror_.openPartial(path(), Mirror::Staged::TAIL)) {
    basis_->stagedTail = file->size;
    return basis_->size + file->size <= planned_.remote.size && hash(*file);
  }
  return false;
}

bool FileTransfer::knownBasis() {
  KJ_IF_MAYBE(file, mirror_.openFile(planned_.basis)) {
    basis_->kind = Basis::Kind::MIRROR;
    basis_->path = planned_.basis;
    basis_->mtime = file->mtime;
    basis_->size = file->size;
    basis_->hasher = planned_.live->hasher;
    return file->size > 0 && planned_.live->isAsLeft(file->size, file->mtime);
  }
  return false;
}

bool FileTransfer::prefixBasis(const std::string& path) {
  KJ_IF_MAYBE(file, mirror_.openFile(path)) {
    basis_->kind = Basis::Kind::MIRROR;
    basis_->path = path;
    basis_->mtime = file->mtime;
    return file->size <= planned_.remote.size && hash(*file);
  }
  return false;
}

bool FileTransfer::deltaBasis() {
  if (planned_.remote.size < MIN_DELTA) return false;
  KJ_IF_MAYBE(file, mirror_.openFile(planned_.basis)) {
    basis_->kind = Basis::Kind::MIRROR;
    basis_->path = planned_.basis;
    basis_->mtime = file->mtime;
    basis_->size = file->size;
    return file->size > 0 &&
           signatureLength(file->size, strongLengthFor(file->size)) <= MAX_WANTED_SIGNATURE;
  }
  return false;
}

// Adds a file to the basis. Returns false if it cannot be read or is empty.
bool FileTransfer::hash(const Mirror::File& file) {
  if (mirror_.endedUncleanly()) mirror_.readFromDisk(file);
  basis_->size += file.size;
  return file.size > 0 && hashPrefix(file.fd, file.size, basis_->hasher) == file.size;
}

kj::Array<kj::byte> FileTransfer::signature() {
  auto file = KJ_REQUIRE_NONNULL(mirror_.openFile(basis_->path), "the basis is gone");
  kj::Vector<kj::byte> signature;
  makeSignature(file.fd, file.size, 0, strongLengthFor(file.size),
                [&](kj::ArrayPtr<const kj::byte> bytes) { signature.addAll(bytes); });
  return signature.releaseAsArray();
}

}  // namespace pibrain
