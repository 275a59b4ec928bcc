#include "hub/sync/incoming.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <optional>

#include "common/file-io.h"
#include "common/protocol.h"
#include "common/text.h"

namespace pibrain {

namespace {

// Nothing of a tail reaches the mirror's file before the agent has said that the spoke's still
// holds it. What does not fit here is staged.
constexpr size_t MAX_HELD = 4 * 1024 * 1024;
// An interrupted file of less than this is not worth continuing.
constexpr uint64_t MIN_PARTIAL = 1024 * 1024;
// What is larger is not begun if the disk has no room for it: it would only be full for others too.
constexpr uint64_t MIN_CHECKED = 1024 * 1024;

// Room for less than this is as good as none: what it lacks, all other files lack too.
constexpr uint64_t MIN_ROOM = 1024 * 1024;

// The bytes free on a file's filesystem, as far as it says: some of FUSE tell nothing.
std::optional<uint64_t> freeBytes(int fd) {
  struct statvfs fs;
  if (fstatvfs(fd, &fs) != 0 || fs.f_blocks == 0) return std::nullopt;
  return uint64_t(fs.f_bavail) * fs.f_frsize;
}

// Throws FAILED: this file alone has no room in `mirror`.
void requireRoom(int fd, uint64_t bytes, const std::string& mirror) {
  auto free = freeBytes(fd);
  if (bytes < MIN_CHECKED || !free || bytes <= *free) return;
  kj::throwFatalException(
      kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                    kj::str("it needs ", formatBytes(bytes).c_str(),
                            " on the hub's disk, which has ", formatBytes(*free).c_str(),
                            " ('df -h ", escapeForTerminal(mirror).c_str(), "' shows it)")));
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
Mirror::File openParent(Mirror& mirror, proto::Parent::Reader parent, uint64_t size,
                        FileHasher::Secret secret) {
  KJ_REQUIRE(parent.getSize() <= size, "a fork has no use for more of its parent than it is long");
  auto path = parent.getPath().asChars();
  auto opened = mirror.openFile(std::string(path.begin(), path.size()));
  auto& file = KJ_REQUIRE_NONNULL(opened, "the mirror does not have the parent");
  FileHasher hasher(secret);
  KJ_REQUIRE(file.size >= parent.getSize() &&
                 hashPrefix(file.fd, parent.getSize(), hasher) == parent.getSize() &&
                 hasher.digest() == Digest::from(parent.getHash()),
             "the mirror's copy of the parent is another one");
  return kj::mv(file);
}

}  // namespace

Incoming::Incoming(Mirror& mirror, const std::string& path, const Basis& basis,
                   proto::Begin::Reader begin, Want::Kind asked, bool keepModes, bool replaces,
                   FileHasher::Secret secret)
    : mirror_(mirror),
      path_(path),
      basis_(basis),
      size_(begin.getSize()),
      // The next run looks at a fresh file again.
      mtime_(begin.getUnsettled() ? mirror.earlierThan(begin.getMtime()) : begin.getMtime()),
      mode_(keepModes ? mode_t((begin.getMode() & 0777) | 0600) : 0),
      replaces_(replaces),
      moves_(basis.kind == Basis::Kind::MIRROR && basis.path != path),
      hasher_(secret),
      written_(0) {
  KJ_REQUIRE(answers(begin.getContent(), asked), "not what was asked for");
  KJ_REQUIRE(size_ <= uint64_t(INT64_MAX), "not a size", size_);
  if (begin.getContent() == proto::Begin::Content::FORK) {
    patch(openParent(mirror_, begin.getParent(), size_, secret));
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
  if (ended_ || out_.get() < 0) return;
  out_ = nullptr;
  if (written_ - (inPlace() ? mirrorSize() : 0) < MIN_PARTIAL || writing_) {
    mirror_.discardStaged(path_, staged());
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
  if (!inPlace()) return stage(bytes);
  held_.addAll(bytes);
  if (held_.size() <= MAX_HELD) return;
  stage(held_.asPtr());
  held_.clear();
}

void Incoming::stage(kj::ArrayPtr<const kj::byte> bytes) {
  uint64_t at = written_ - bytes.size();
  if (out_.get() < 0) {
    out_ = mirror_.openStaged(path_, basis_.kind == Basis::Kind::PARTIAL || basis_.stagedTail > 0,
                              staged());
    // A tail is there twice while it is appended.
    requireRoom(out_, inPlace() ? 2 * (size_ - mirrorSize()) : size_ - at, mirror_.path());
  }
  // What is in the way of others when it fails is not kept to go on from.
  writing_ = true;
  try {
    writeSparsely(out_, bytes, inPlace() ? at - mirrorSize() : at);
  } catch (const kj::Exception& e) {
    if (e.getType() != kj::Exception::Type::OVERLOADED) throw;
    mirror_.discardStaged(path_, staged());
    auto free = freeBytes(out_);
    uint64_t held = 0;
    struct stat st;
    if (fstat(out_, &st) == 0) held = uint64_t(st.st_blocks) * 512;
    // Without this file there is room for others.
    if (free && *free + held >= MIN_ROOM) {
      kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                                            kj::str(e.getDescription())));
    }
    throw;
  }
  writing_ = false;
}

void Incoming::end(Digest hash) {
  if (patcher_.get() != nullptr) patcher_->finish();
  KJ_REQUIRE(written_ == size_, "less content than was announced");
  KJ_REQUIRE(hasher_.digest() == hash, "the file fails its check");
  if (inPlace()) {
    appendInPlace();
  } else {
    stage(nullptr);
    extendTo(out_, size_);
    setMode(out_);
    setMtime(out_, mtime_);
    mirror_.publish(path_, replaces_);
  }
  ended_ = true;
}

void Incoming::appendInPlace() {
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
  if (out_.get() >= 0) return replaceByGrown(file);
  {
    // Back to what was proved on both sides. The time stays wrong, so the next run looks again; if
    // this fails, it finds what it finds after a kill.
    KJ_ON_SCOPE_FAILURE((void)!ftruncate(file, off_t(mirrorSize())));
    if (held_.size() > 0) {
      requireRoom(file, held_.size(), mirror_.path());
      writeSparsely(file, held_, mirrorSize());
    }
    extendTo(file, size_);
  }
  setMode(file);
  mirror_.settle(path_, file, mtime_);
}

// A long tail takes a while to write, in which a reader of the file would find half a line. So it
// is put behind a copy of the file, which takes its place.
void Incoming::replaceByGrown(int file) {
  struct stat base;
  if (fstat(file, &base) != 0) throwErrno(errno, "cannot read the mirror's file");
  requireRoom(file, size_, mirror_.path());
  auto grown = mirror_.openStaged(path_, false, Mirror::Staged::FILE);
  {
    KJ_ON_SCOPE_FAILURE(mirror_.discardStaged(path_, Mirror::Staged::FILE));
    uint64_t length = size_ - mirrorSize();
    KJ_REQUIRE(copyBytes(file, mirrorSize(), grown, 0) == mirrorSize() &&
                   copyBytes(out_, length, grown, mirrorSize()) == length,
               "it was cut short by someone else during the run");
    if (mode_ == 0) {
      if (fchmod(grown, base.st_mode & 0777) != 0) throwErrno(errno, "cannot set a file's mode");
    } else {
      setMode(grown);
    }
    setMtime(grown, mtime_);
    mirror_.publishGrown(path_, base);
  }
  mirror_.discardStaged(path_, staged());
}

void Incoming::setMode(int fd) {
  if (mode_ != 0 && fchmod(fd, mode_) != 0) throwErrno(errno, "cannot set a file's mode");
}

}  // namespace pibrain
