#pragma once
// One file on its way into the mirror: from its begin event to its end.

#include <kj/vector.h>

#include <memory>
#include <string>

#include "common/delta/delta.h"
#include "common/wire/digest.h"
#include "hub/agent/want.h"
#include "hub/mirror/mirror.h"
#include "proto/agent.capnp.h"

namespace pibrain {

// The local bytes that a file is made from, chosen before it was asked for.
struct Basis {
  enum class Kind {
    NONE,     // the whole file is sent
    MIRROR,   // the mirror's file, of this path or of the one that moved here, and maybe a tail
    PARTIAL,  // what an interrupted run staged
  };
  Kind kind = Kind::NONE;
  std::string path;  // MIRROR: in the mirror
  uint64_t size = 0;
  int64_t mtime = 0;
  FileHasher hasher;        // of the whole basis
  uint64_t stagedTail = 0;  // MIRROR: how much of `size` an interrupted run staged, to be appended
};

class FileReceiver {
 public:
  // What came of a step that may turn out either way.
  enum class Fit { FITS, OTHER_BASIS };

  // Checks that what begins is what was asked for. `keepModes`: give the file the spoke's
  // permission bits. `replaces`: as for Mirror::publish(). `secret`: what the hashes are made with,
  // the basis' too. All but `secret` have to outlive this.
  FileReceiver(Mirror& mirror, const std::string& path, const Basis& basis,
               proto::Begin::Reader begin, Want::Kind asked, bool keepModes, bool replaces = true,
               FileHasher::Secret secret = nullptr);
  ~FileReceiver() noexcept(false);
  KJ_DISALLOW_COPY(FileReceiver);

  // Opens what a delta is to be applied to: not if the mirror's copy of the parent, or the basis,
  // is not what the spoke made the delta for. To be called first.
  Fit open(proto::Begin::Reader begin);

  // Throws a KJ exception if the piece is not what it should be, or cannot be written.
  void data(proto::Piece::Reader piece);

  // Checks the hash and gives the file to the mirror, with its time: it is published, or settled,
  // with the next commit. Not if a delta made another file.
  Fit end(Digest hash);

  uint64_t size() const { return size_; }
  uint64_t bytesReceived() const { return received_; }

 private:
  void append(kj::ArrayPtr<const kj::byte> bytes);
  // Stages these bytes, the last of the file's first `written_`.
  void stage(kj::ArrayPtr<const kj::byte> bytes);
  // Gives the mirror's file the tail.
  void appendTail();
  void appendInPlace(int file);
  // Puts a copy of the file with the staged tail in its place. False if there is no room for one.
  bool replaceByGrown(int file);
  bool tryReplaceByGrown(int file);
  // Whether there is room for so much of the file: what is in its holes takes none.
  void requireRoom(int fd, uint64_t bytes) const;
  bool inPlace() const { return basis_.kind == Basis::Kind::MIRROR && patcher_.get() == nullptr; }
  Mirror::Staged staged() const { return inPlace() ? Mirror::Staged::TAIL : Mirror::Staged::FILE; }
  uint64_t mirrorSize() const { return basis_.size - basis_.stagedTail; }
  void setMode(int fd);
  void patch(Mirror::File file);
  kj::Maybe<Mirror::File> openParent(proto::Parent::Reader parent);

  Mirror& mirror_;
  const std::string path_;
  const Basis& basis_;
  const uint64_t size_;
  const uint64_t dense_;  // how much of that takes room, as the spoke says
  const int64_t mtime_;   // to set
  const mode_t mode_;     // to set; 0: as it is
  const bool replaces_;
  bool moves_;  // the basis is at another path

  const FileHasher::Secret secret_;
  FileHasher hasher_;
  uint64_t written_;                   // the file's length so far, held bytes included
  uint64_t received_ = 0;              // content bytes
  kj::Vector<kj::byte> held_;          // of a tail: not staged
  kj::AutoCloseFd out_;                // what is staged; null: nothing is
  kj::Maybe<Mirror::File> basisFile_;  // for the patcher
  kj::Own<Patcher> patcher_;
  bool writing_ = false;    // afterwards: a write failed, so what is there is of no use
  bool endsInHole_ = true;  // what is staged may be shorter than it is to be
  bool ended_ = false;
};

}  // namespace pibrain
