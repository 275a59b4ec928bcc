#pragma once

#include <kj/time.h>
#include <stdint.h>

#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/wire/digest.h"

namespace pibrain {

// The files that grow while the hub watches, with the running hash of what the mirror has of them.
// So a line that is appended costs itself, however long the file is.
class LiveFiles {
 public:
  struct File {
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
  };

  // Remembers the latest MAX_FILES.
  File& keep(const std::string& path, File file);
  // Returns null if nothing is known.
  File* find(const std::string& path);
  void forget(const std::string& path);
  // Called before a scan, which gives new ids: the old ones may then be other files'.
  void forgetIds();

  using Entry = std::pair<const std::string, File>;
  const std::list<Entry>& all() const { return order_; }  // the latest first

 private:
  static constexpr size_t MAX_FILES = 256;

  std::list<Entry> order_;  // the latest first
  std::unordered_map<std::string, std::list<Entry>::iterator> byPath_;
};

}  // namespace pibrain
