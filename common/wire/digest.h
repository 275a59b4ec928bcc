#pragma once
// XXH3 digests (https://github.com/Cyan4973/xxHash) of files, while they are read or written. XXH3
// is not a cryptographic hash: whoever knows its secret can make two files with the same digest. So
// a hub draws a new secret for each conversation (agent.capnp), which no file made before can
// match.

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

// The 128-bit digest of a file as it streams by. digest() may be called at any point and changes
// nothing.
class FileHasher {
 public:
  // Digests can be compared only if they were made with the same secret.
  using Secret = kj::ArrayPtr<const kj::byte>;
  static constexpr size_t SECRET_SIZE = 192;  // as long as the default one

  // A secret whose size is not SECRET_SIZE is ignored, and XXH3's public default used. The secret
  // is not copied, and must outlive this object and its copies.
  explicit FileHasher(Secret secret = nullptr) {
    if (secret.size() == SECRET_SIZE) {
      XXH3_128bits_reset_withSecret(&state_, secret.begin(), secret.size());
    } else {
      XXH3_128bits_reset(&state_);
    }
  }

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
