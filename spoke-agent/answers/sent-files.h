#pragma once

#include <kj/array.h>
#include <kj/refcount.h>
#include <stdint.h>
#include <sys/types.h>

#include <memory>

#include "common/wire/digest.h"
#include "common/wire/latest.h"

namespace pibrain {

// The secret of a session's hashes (FileHasher), which all of its hashers refer to.
using SharedSecret = std::shared_ptr<const kj::Array<kj::byte>>;

struct SentFile {
  dev_t device;
  ino_t inode;
  uint64_t size;  // that was sent
  int64_t mtime;  // then
  FileHasher hasher;
  // When it was first seen with this size but another mtime, ns since the epoch; 0: never.
  int64_t doubted = 0;

  // Returns whether the open file is this one, not another at its path.
  bool isSame(int fd) const;
  // Returns whether what was sent still ends where a line does: otherwise the file was rewritten,
  // or half a line was sent.
  bool stillEndsALine(int fd) const;
};

// How far this session sent its files, with the running hash, so that what is appended costs only
// itself: the beginning need not be read again.
class SentFiles : public kj::Refcounted, public Latest<SentFile, 256> {
 public:
  // Returns the secret as shared by all hashers; one that differs from the last makes the session
  // forget its files.
  SharedSecret share(kj::ArrayPtr<const kj::byte> secret);

 private:
  SharedSecret secret_;
};

}  // namespace pibrain
