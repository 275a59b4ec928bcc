#pragma once
// XXH3 digests (https://github.com/Cyan4973/xxHash): of files, while they are read or written.

#include <kj/common.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <compare>

#include "proto/agent.capnp.h"

namespace pibrain {

struct Digest {
  uint64_t low = 0;
  uint64_t high = 0;

  auto operator<=>(const Digest&) const = default;

  static Digest from(proto::Hash::Reader hash) { return {hash.getLow(), hash.getHigh()}; }
  void to(proto::Hash::Builder hash) const {
    hash.setLow(low);
    hash.setHigh(high);
  }
};

// The 128-bit digest of a file as it streams by. digest() may be asked for at any point and
// changes nothing.
class FileHasher {
 public:
  FileHasher() { XXH3_128bits_reset(&state_); }

  void update(kj::ArrayPtr<const kj::byte> bytes) {
    XXH3_128bits_update(&state_, bytes.begin(), bytes.size());
  }
  Digest digest() const {
    auto hash = XXH3_128bits_digest(&state_);
    return {hash.low64, hash.high64};
  }

 private:
  XXH3_state_t state_;
};

Digest digestOf(kj::ArrayPtr<const kj::byte> bytes);

}  // namespace pibrain
