#include "hub/agent/file-receiver.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "common/fs/copy.h"
#include "common/fs/file-io.h"
#include "common/fs/file-times.h"
#include "common/fs/io-error.h"
#include "common/text/format.h"
#include "common/wire/protocol.h"

namespace pibrain {

namespace {

// A tail is appended to the mirror's file only after the agent has confirmed that the spoke's file
// still holds it. Up to this size it waits in memory; more is staged.
constexpr size_t MAX_HELD = 4 * 1024 * 1024;
// A smaller interrupted file is not worth continuing.
constexpr uint64_t MIN_PARTIAL = 1024 * 1024;
// A larger file is not started if the disk has no room for it: it would only fill the disk for
// others too.
constexpr uint64_t MIN_CHECKED = 1024 * 1024;

// Returns the free bytes on a file's filesystem; nullopt: some FUSE filesystems do not tell.
std::optional<uint64_t> freeBytes(int fd) {
  struct statvfs fs;
  if (fstatvfs(fd, &fs) != 0 || fs.f_blocks == 0) return std::nullopt;
  return uint64_t(fs.f_bavail) * fs.f_frsize;
}

bool hasRoom(int fd, uint64_t bytes) {
  auto free = freeBytes(fd);
  return !free || bytes <= *free;
}

// Returns how much of a file's size needs disk space. More holes than this are not believed:
// receiving them would take hours.
uint64_t denseBytes(uint64_t size, uint64_t holes) {
  constexpr uint64_t MAX_HOLES = uint64_t(64) << 30;
  return holes <= std::min(size, MAX_HOLES) ? size - holes : size;
}

bool answers(proto::Begin::Content content, Want::Kind asked) {
  using Content = proto::Begin::Content;
  switch (asked) {
    case Want::Kind::WHOLE:
      return content == Content::WHOLE;
    case Want::Kind::NEW:
      return content == Content::WHOLE || content == Content::FORK;
    case Want::Kind::PREFIX:
      return content == Content::TAIL;
    case Want::Kind::SIGNATURE:
      return content == Content::DELTA;
  }
  return false;
}

}  // namespace

FileReceiver::FileReceiver(Mirror& mirror, const std::string& path, const Basis& basis,
                           proto::Begin::Reader begin, Want::Kind asked, bool keepModes,
                           bool replaces, FileHasher::Secret secret)
    : mirror_(mirror),
      path_(path),
      basis_(basis),
      size_(begin.getSize()),
      dense_(denseBytes(size_, begin.getHoles())),
      // A fresh file gets an earlier time, so that the next run looks at it again.
      mtime_(begin.getUnsettled() ? mirror.earlierThan(begin.getMtime()) : begin.getMtime()),
      mode_(keepModes ? mode_t((begin.getMode() & 0777) | 0600) : 0),
      replaces_(replaces),
      moves_(basis.kind == Basis::Kind::MIRROR && basis.path != path),
      secret_(secret),
      hasher_(secret),
      written_(0) {
  KJ_REQUIRE(answers(begin.getContent(), asked), "not what was requested");
  KJ_REQUIRE(size_ <= uint64_t(INT64_MAX), "not a size", size_);
  if (begin.getContent() == proto::Begin::Content::TAIL) {
    KJ_REQUIRE(size_ >= basis.size, "a tail that ends before it begins");
    hasher_ = basis.hasher;
    written_ = basis.size;
  }
}

FileReceiver::Fit FileReceiver::open(proto::Begin::Reader begin) {
  if (begin.getContent() == proto::Begin::Content::FORK) {
    KJ_IF_MAYBE(parent, openParent(begin.getParent())) {
      patch(kj::mv(*parent));
      return Fit::FITS;
    }
    return Fit::OTHER_BASIS;
  }
  if (begin.getContent() != proto::Begin::Content::DELTA) return Fit::FITS;
  KJ_IF_MAYBE(file, mirror_.openFile(basis_.path)) {
    if (file->size == basis_.size && file->mtime == basis_.mtime) {
      patch(kj::mv(*file));
      return Fit::FITS;
    }
  }
  return Fit::OTHER_BASIS;
}

// Opens the mirror's copy of a parent; null if it differs from the spoke's.
kj::Maybe<Mirror::File> FileReceiver::openParent(proto::Parent::Reader parent) {
  KJ_REQUIRE(parent.getSize() <= size_, "a fork that uses more of its parent than its own length");
  auto path = parent.getPath().asChars();
  KJ_IF_MAYBE(file, mirror_.openFile(std::string(path.begin(), path.size()))) {
    FileHasher hasher(secret_);
    if (file->size >= parent.getSize() &&
        hashPrefix(file->fd, parent.getSize(), hasher) == parent.getSize() &&
        hasher.digest() == Digest::from(parent.getHash())) {
      return kj::mv(*file);
    }
  }
  return nullptr;
}

void FileReceiver::patch(Mirror::File file) {
  patcher_ = kj::heap<Patcher>(file.fd, size_, [this](kj::ArrayPtr<const kj::byte> bytes) {
    hasher_.update(bytes);
    append(bytes);
  });
  basisFile_ = kj::mv(file);
}

FileReceiver::~FileReceiver() noexcept(false) {
  if (ended_ || out_.get() < 0) return;
  out_ = nullptr;
  if (written_ - (inPlace() ? mirrorSize() : 0) < MIN_PARTIAL || writing_) {
    mirror_.discardStaged(path_, staged());
  }
}

void FileReceiver::data(proto::Piece::Reader piece) {
  auto bytes = piece.getBytes();
  received_ += bytes.size();
  if (patcher_.get() != nullptr) {
    patcher_->write(bytes);
    return;
  }
  KJ_REQUIRE(bytes.size() <= size_ - written_, "more content than was announced");
  hasher_.update(bytes);
  KJ_REQUIRE(hasher_.digest() == Digest::from(piece.getHash()),
             "content that fails its hash check");
  append(bytes);
}

void FileReceiver::append(kj::ArrayPtr<const kj::byte> bytes) {
  written_ += bytes.size();
  if (!inPlace()) return stage(bytes);
  held_.addAll(bytes);
  if (held_.size() <= MAX_HELD) return;
  stage(held_.asPtr());
  held_.clear();
}

void FileReceiver::stage(kj::ArrayPtr<const kj::byte> bytes) {
  uint64_t at = written_ - bytes.size();
  if (out_.get() < 0) {
    out_ = mirror_.openStaged(path_, basis_.kind == Basis::Kind::PARTIAL || basis_.stagedTail > 0,
                              staged());
    // While a tail is appended, it is on the disk twice.
    requireRoom(out_, inPlace() ? 2 * (size_ - mirrorSize()) : size_ - at);
  }
  // After a failed write, the partial file is not kept: it would take space from others.
  writing_ = true;
  endsInHole_ = !writeSparsely(out_, bytes, inPlace() ? at - mirrorSize() : at);
  writing_ = false;
}

// Throws like a write to a full disk; other files may fit.
void FileReceiver::requireRoom(int fd, uint64_t bytes) const {
  bytes = std::min(bytes, inPlace() ? 2 * dense_ : dense_);
  if (bytes < MIN_CHECKED) return;
  auto free = freeBytes(fd);
  if (!free || bytes <= *free) return;
  throwErrno(ENOSPC, absl::StrCat("the file needs ", formatBytes(bytes),
                                  " on the hub's disk, which has ", formatBytes(*free)));
}

FileReceiver::Fit FileReceiver::end(Digest hash) {
  bool delta = patcher_.get() != nullptr;
  if (delta) patcher_->finish();
  KJ_REQUIRE(written_ == size_, "less content than was announced");
  if (delta && hasher_.digest() != hash) return Fit::OTHER_BASIS;
  KJ_REQUIRE(hasher_.digest() == hash, "the file fails its hash check");
  if (inPlace()) {
    appendTail();
  } else {
    if (out_.get() < 0) stage(nullptr);
    if (endsInHole_) extendTo(out_, size_);
    setMode(out_);
    setMtime(out_, mtime_);
    mirror_.publish(path_, replaces_);
  }
  ended_ = true;
  return Fit::FITS;
}

void FileReceiver::appendTail() {
  if (out_.get() >= 0 || basis_.stagedTail > 0) {
    stage(held_.asPtr());
    held_.clear();
    extendTo(out_, size_ - mirrorSize());
  }
  if (moves_) {
    mirror_.move(basis_.path, path_);
    moves_ = false;
  }
  auto file = mirror_.openForAppend(path_, mirrorSize(), basis_.mtime);
  bool isStaged = out_.get() >= 0;
  if (!isStaged || !replaceByGrown(file)) appendInPlace(file);
  if (isStaged) mirror_.discardStaged(path_, staged());
}

void FileReceiver::appendInPlace(int file) {
  uint64_t length = size_ - mirrorSize();
  requireRoom(file, length);
  writing_ = true;
  {
    // Truncates to what was proved on both sides. The time stays wrong, so the next run looks
    // again; if this fails, it finds the same as after a kill.
    KJ_ON_SCOPE_FAILURE((void)!ftruncate(file, off_t(mirrorSize())));
    if (out_.get() >= 0) {
      KJ_REQUIRE(copyBytes(out_, length, file, mirrorSize()) == length,
                 "another process truncated it during the run");
    } else if (held_.size() > 0) {
      writeSparsely(file, held_, mirrorSize());
    }
    extendTo(file, size_);
  }
  writing_ = false;
  setMode(file);
  mirror_.settle(path_, file, mtime_);
}

// Writing a long tail takes a while, during which a reader of the file would find half a line. So
// the tail is appended to a copy, which then replaces the file. Without room for a copy it is
// appended in place, since otherwise a file could not grow although the disk has room for the tail.
bool FileReceiver::replaceByGrown(int file) {
  try {
    return tryReplaceByGrown(file);
  } catch (const kj::Exception& e) {
    if (!isDiskFull(e)) throw;
    return false;
  }
}

bool FileReceiver::tryReplaceByGrown(int file) {
  struct stat base;
  if (fstat(file, &base) != 0) throwErrno(errno, "cannot read the mirror's file");
  uint64_t length = size_ - mirrorSize(), tail = std::min(dense_, length);
  auto grown = mirror_.openStaged(path_, false, Mirror::Staged::FILE);
  KJ_ON_SCOPE_FAILURE(mirror_.discardStaged(path_, Mirror::Staged::FILE));
  bool shared = shareBeginning(file, mirrorSize(), grown);
  if (!hasRoom(grown, shared ? tail : tail + uint64_t(base.st_blocks) * 512)) {
    mirror_.discardStaged(path_, Mirror::Staged::FILE);
    return false;
  }
  if (!shared) copyBeginning(file, mirrorSize(), grown);
  KJ_REQUIRE(copyBytes(out_, length, grown, mirrorSize()) == length,
             "another process truncated it during the run");
  if (mode_ == 0) {
    if (fchmod(grown, base.st_mode & 0777) != 0) throwErrno(errno, "cannot set a file's mode");
  } else {
    setMode(grown);
  }
  setMtime(grown, mtime_);
  mirror_.publishGrown(path_, base);
  return true;
}

void FileReceiver::setMode(int fd) {
  if (mode_ != 0 && fchmod(fd, mode_) != 0) throwErrno(errno, "cannot set a file's mode");
}

}  // namespace pibrain
