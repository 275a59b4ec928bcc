#pragma once
// Receives one file into the mirror, from its begin event to its end event.

#include <kj/vector.h>

#include <memory>
#include <string>

#include "common/delta/delta.h"
#include "common/wire/digest.h"
#include "hub/agent/want.h"
#include "hub/mirror/mirror.h"
#include "proto/agent.capnp.h"

namespace pibrain {

// The local bytes that a file is made from, chosen before the file is requested.
struct Basis {
  enum class Kind {
    NONE,     // the whole file is sent
    MIRROR,   // the mirror's file of this path or the one that moved here, perhaps with a staged
              // tail
    PARTIAL,  // what an interrupted run staged
  };
  Kind kind = Kind::NONE;
  std::string path;  // MIRROR: in the mirror
  uint64_t size = 0;
  int64_t mtime = 0;
  FileHasher hasher;        // the hash of the whole basis
  uint64_t stagedTail = 0;  // MIRROR: how much of `size` an interrupted run staged
};

class FileReceiver {
 public:
  // The result of a step: OTHER_BASIS if the basis was not the right one.
  enum class Fit { FITS, OTHER_BASIS };

  // Checks that the answer is what was requested. `keepModes`: give the file the spoke's permission
  // bits. `replaces`: as for Mirror::publish(). `secret`: the secret of the hashes, including the
  // basis'. All but `secret` must outlive this.
  FileReceiver(Mirror& mirror, const std::string& path, const Basis& basis,
               proto::Begin::Reader begin, Want::Kind asked, bool keepModes, bool replaces = true,
               FileHasher::Secret secret = nullptr);
  ~FileReceiver() noexcept(false);
  KJ_DISALLOW_COPY(FileReceiver);

  // Opens what a delta is applied to. Returns OTHER_BASIS if the mirror's parent, or the basis, is
  // not what the spoke made the delta for. Must be called first.
  Fit open(proto::Begin::Reader begin);

  // Throws a KJ exception if the piece is invalid or cannot be written.
  void data(proto::Piece::Reader piece);

  // Checks the hash and passes the file with its time to the mirror, whose next commit() publishes
  // or settles it. Returns OTHER_BASIS if a delta made another file.
  Fit end(Digest hash);

  uint64_t size() const { return size_; }
  // Returns the time that the file gets with the next commit(), ns since the epoch.
  int64_t mtime() const { return mtime_; }
  // Returns the hasher of the whole file, after end().
  const FileHasher& hasher() const { return hasher_; }
  uint64_t bytesReceived() const { return received_; }

 private:
  void append(kj::ArrayPtr<const kj::byte> bytes);
  // Stages these bytes, which end at `written_`.
  void stage(kj::ArrayPtr<const kj::byte> bytes);
  // Appends the tail to the mirror's file.
  void appendTail();
  void appendInPlace(int file);
  // Replaces the file by a copy with the staged tail. Returns false if there is no room for a copy.
  bool replaceByGrown(int file);
  bool tryReplaceByGrown(int file);
  // Throws if there is no room for so much of the file, without its holes.
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
  const uint64_t dense_;  // how much of it needs disk space, as the spoke says
  const int64_t mtime_;   // to set
  const mode_t mode_;     // to set; 0: keep
  const bool replaces_;
  bool moves_;  // the basis is at another path

  const FileHasher::Secret secret_;
  FileHasher hasher_;
  uint64_t written_;                   // the file's length so far, held bytes included
  uint64_t received_ = 0;              // content bytes
  kj::Vector<kj::byte> held_;          // of a tail, not staged
  kj::AutoCloseFd out_;                // the staged file; null: none
  kj::Maybe<Mirror::File> basisFile_;  // the patcher's basis
  kj::Own<Patcher> patcher_;
  bool writing_ = false;    // true after a failed write: the staged file is useless
  bool endsInHole_ = true;  // the staged file must be extended at the end
  bool ended_ = false;
};

}  // namespace pibrain
