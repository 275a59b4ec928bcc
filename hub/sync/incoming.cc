#include "hub/sync/incoming.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <kj/debug.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file-io.h"
#include "common/protocol.h"
#include "common/text.h"

namespace pibrain {

namespace {

// A tail is held back before it is appended in place: while it fits here, nothing of it reaches
// the mirror before the agent has said that the file still holds it.
constexpr size_t MAX_HELD = 4 * 1024 * 1024;
// An interrupted file of less than this is not worth continuing.
constexpr uint64_t MIN_PARTIAL = 1024 * 1024;
// What is larger is not begun if the disk has no room for it: it would only be full for others too.
constexpr uint64_t MIN_CHECKED = 1024 * 1024;

void requireRoom(int fd, const std::string& path, uint64_t bytes) {
  struct statvfs fs;
  if (bytes < MIN_CHECKED || fstatvfs(fd, &fs) != 0) return;
  uint64_t free = uint64_t(fs.f_bavail) * fs.f_frsize;
  if (bytes <= free) return;
  throwErrno(ENOSPC, absl::StrCat("'", escapeForTerminal(path), "' needs ", formatBytes(bytes),
                                  " on the hub's disk, which has ", formatBytes(free)));
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

// The mirror's copy of a parent, of a fork of `size` bytes. Throws if it is not the same as the
// spoke's.
Mirror::File openParent(Mirror& mirror, proto::Parent::Reader parent, uint64_t size) {
  KJ_REQUIRE(parent.getSize() <= size, "a fork has no use for more of its parent than it is long");
  auto path = parent.getPath().asChars();
  auto opened = mirror.openFile(std::string(path.begin(), path.size()));
  auto& file = KJ_REQUIRE_NONNULL(opened, "the mirror does not have the parent");
  FileHasher hasher;
  KJ_REQUIRE(file.size >= parent.getSize() &&
                 hashPrefix(file.fd, parent.getSize(), hasher) == parent.getSize() &&
                 hasher.digest() == Digest::from(parent.getHash()),
             "the mirror's copy of the parent is another one");
  return kj::mv(file);
}

// A fresh file gets a time of 1 ns less, so that the next run looks at it again.
int64_t timeToSet(proto::Begin::Reader begin) {
  int64_t mtime = begin.getMtime();
  return begin.getUnsettled() && mtime > INT64_MIN ? mtime - 1 : mtime;
}

}  // namespace

Incoming::Incoming(Mirror& mirror, const std::string& path, const Basis& basis,
                   proto::Begin::Reader begin, Want::Kind asked, bool keepModes)
    : mirror_(mirror),
      path_(path),
      basis_(basis),
      size_(begin.getSize()),
      mtime_(timeToSet(begin)),
      mode_(keepModes ? mode_t((begin.getMode() & 0777) | 0600) : 0),
      moves_(basis.kind == Basis::Kind::MIRROR && basis.path != path),
      written_(0) {
  KJ_REQUIRE(answers(begin.getContent(), asked), "not what was asked for");
  KJ_REQUIRE(size_ <= uint64_t(INT64_MAX), "not a size", size_);
  if (begin.getContent() == proto::Begin::Content::FORK) {
    patch(openParent(mirror_, begin.getParent(), size_));
  } else if (asked == Want::Kind::SIGNATURE) {
    auto opened = mirror_.openFile(basis.path);
    auto& file = KJ_REQUIRE_NONNULL(opened, "the basis is gone");
    KJ_REQUIRE(file.size == basis.size && file.mtime == basis.mtime,
               "the mirror's file was changed by someone else during the run");
    patch(kj::mv(file));
  } else if (basis.kind != Basis::Kind::NONE) {
    KJ_REQUIRE(size_ >= basis.size, "a tail that ends before it begins");
    hasher_ = basis.hasher;
    written_ = basis.size;
  }
}

void Incoming::patch(Mirror::File file) {
  patcher_ = kj::heap<Patcher>(file.fd, size_, [this](kj::ArrayPtr<const kj::byte> bytes) {
    hasher_.update(bytes);
    append(bytes);
  });
  basisFile_ = kj::mv(file);
}

Incoming::~Incoming() noexcept(false) {
  if (ended_) return;
  if (inPlace()) {
    // Back to what was proved on both sides. The time stays wrong, so the next run looks again; if
    // this fails, it finds what it finds after a kill.
    if (out_.get() >= 0) (void)!ftruncate(out_, off_t(basis_.size));
  } else if (out_.get() >= 0) {
    out_ = nullptr;
    if (written_ < MIN_PARTIAL || writing_) mirror_.discardStaged(path_);
  }
}

void Incoming::data(proto::Piece::Reader piece) {
  auto bytes = piece.getBytes();
  received_ += bytes.size();
  if (patcher_.get() != nullptr) {
    patcher_->write(bytes);
    return;
  }
  KJ_REQUIRE(bytes.size() <= size_ - written_, "more content than was announced");
  hasher_.update(bytes);
  KJ_REQUIRE(hasher_.digest() == Digest::from(piece.getHash()), "content that fails its check");
  append(bytes);
}

void Incoming::append(kj::ArrayPtr<const kj::byte> bytes) {
  written_ += bytes.size();
  if (!inPlace()) return writeOut(bytes);
  held_.addAll(bytes);
  if (held_.size() > MAX_HELD) writeOut(held_.asPtr());
}

void Incoming::writeOut(kj::ArrayPtr<const kj::byte> bytes) {
  if (out_.get() < 0) openOutput(written_ - bytes.size());
  writing_ = true;
  writeAllAt(out_, bytes, written_ - bytes.size());
  writing_ = false;
  held_.clear();
}

void Incoming::openOutput(uint64_t there) {
  if (inPlace()) {
    if (moves_) {
      mirror_.move(basis_.path, path_);
      moves_ = false;
    }
    out_ = mirror_.openForAppend(path_, basis_.size, basis_.mtime);
  } else {
    out_ = mirror_.openStaged(path_, basis_.kind == Basis::Kind::PARTIAL);
  }
  requireRoom(out_, path_, size_ - there);
}

void Incoming::end(Digest hash) {
  if (patcher_.get() != nullptr) patcher_->finish();
  KJ_REQUIRE(written_ == size_, "less content than was announced");
  KJ_REQUIRE(hasher_.digest() == hash, "the file fails its check");
  writeOut(held_.asPtr());
  setTimeAndMode(out_);
  ended_ = true;
  out_ = nullptr;
  if (!inPlace()) mirror_.publish(path_);
}

void Incoming::setTimeAndMode(int fd) {
  if (mode_ != 0 && fchmod(fd, mode_) != 0) throwErrno(errno, "cannot set a file's mode");
  setMtime(fd, mtime_);
}

}  // namespace pibrain
