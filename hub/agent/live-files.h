#pragma once

#include <kj/time.h>
#include <stdint.h>

#include <optional>

#include "common/wire/digest.h"
#include "common/wire/latest.h"

namespace pibrain {

// What the hub knows of a file that grows while it watches.
struct LiveFile {
  std::optional<uint32_t> id;  // the spoke's, of the latest scan; nullopt: not known
  uint64_t size = 0;           // in the mirror
  int64_t written = 0;         // the spoke's mtime, ns since the epoch
  // The mtimes that the mirror's file has before and after a flush, if nobody else changes it.
  int64_t times[2] = {0, 0};
  FileHasher hasher;  // of the whole file
  // The agent only said that it was appended to, or the time is not the true one yet (P3).
  bool unproved = false;
  kj::TimePoint changed = kj::origin<kj::TimePoint>();
  kj::TimePoint proved = kj::origin<kj::TimePoint>();

  // Returns whether a file of the mirror is as it was left.
  bool isAsLeft(uint64_t itsSize, int64_t mtime) const {
    return itsSize == size && (mtime == times[0] || mtime == times[1]);
  }
};

// The files that grow while the hub watches, with the running hash of what the mirror has of them.
// So a line that is appended costs itself, however long the file is.
class LiveFiles : public Latest<LiveFile, 256> {
 public:
  // Called before a scan, which gives new ids: the old ones may then be other files'.
  void forgetIds() {
    for (auto& [path, file] : all()) file.id.reset();
  }
};

}  // namespace pibrain
