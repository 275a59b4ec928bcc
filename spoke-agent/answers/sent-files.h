#pragma once

#include <kj/array.h>
#include <kj/refcount.h>
#include <stdint.h>
#include <sys/types.h>

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/wire/digest.h"

namespace pibrain {

// The secret of a session's hashes (FileHasher), which all of its hashers refer to.
using SharedSecret = std::shared_ptr<const kj::Array<kj::byte>>;

// How far this session sent its files, with the running hash, so that what is appended costs only
// itself: the beginning need not be read again.
class SentFiles : public kj::Refcounted {
 public:
  struct Sent {
    dev_t device;
    ino_t inode;
    uint64_t size;  // that was sent
    int64_t mtime;  // then
    FileHasher hasher;
  };

  // Remembers the latest MAX_FILES.
  void keep(const std::string& path, const Sent& sent);
  // Returns what is known of the file, to be changed in place; null: nothing.
  Sent* find(const std::string& path);
  void forget(const std::string& path);

  // Returns the secret as shared by all hashers; one that differs from the last makes the session
  // forget its files.
  SharedSecret share(kj::ArrayPtr<const kj::byte> secret);

 private:
  static constexpr size_t MAX_FILES = 256;

  SharedSecret secret_;
  using Entry = std::pair<std::string, Sent>;
  std::list<Entry> order_;  // the latest first
  std::unordered_map<std::string, std::list<Entry>::iterator> byPath_;
};

}  // namespace pibrain
